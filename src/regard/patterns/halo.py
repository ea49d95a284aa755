"""Halo: tokens of a block see the block and a ring around it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from regard.patterns._axis import Axis
from regard.patterns._pattern import Pattern, separable
from regard.patterns._space import Place, as_space, fits, per_axis
from regard.registry import method


@method(
    "patterns",
    paper="halonet",
    claim="halo 0 is a window; inside, it is strided neighborhood attention of window block + 2 halo",
    source="section 3.1: blocked local self-attention",
    needs=(),
    differs="what lies beyond the picture is not seen, where HaloNet pads with zeros",
    unit="pairs",
)
def halo(queries: Place, block: int | Sequence[int], halo: int | Sequence[int] = 1) -> Pattern:
    """Queries of a block see its keys and those at most `halo` outside it, cut off at the border.

    Raises LayoutError for a block larger than the axis. Source: Vaswani et al. 2021, "Scaling Local Self-Attention".

    >>> import regard as rg
    >>> rg.patterns.halo(6, block=2, halo=1).mask().int()[2]
    tensor([0, 1, 1, 1, 1, 0], dtype=torch.int32)
    """
    space = as_space(queries)
    blocks, halos = per_axis(block, space, "block"), per_axis(halo, space, "halo", least=0)
    fits("block", blocks, space)
    facts = list(zip(blocks, halos, strict=True))
    axes = [_axis(n, b, h) for n, (b, h) in zip(space.axes, facts, strict=True)]
    return separable(f"halo({space}, block={blocks}, halo={halos})", space, _near_block, facts, axes)


def _axis(length: int, b: int, h: int) -> Axis:
    lo = tuple(max(0, i // b * b - h) for i in range(length))
    return Axis(length, lo, tuple(min(length, i // b * b + b + h) for i in range(length)))


def _near_block(i: Tensor, j: Tensor, b: int, h: int) -> Tensor:
    first = i - i % b
    return torch.maximum(first - j, j - (first + b - 1)) <= h
