"""Reordered attention: tokens put into the order of axes in which attention falls into blocks; then block-sparse."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.operators._blocks import Chosen, attend_blocks, cut
from regard.operators._shared import Keys, Output, Queries, Values, check, scale_of
from regard.registry import method


@method(
    "operators",
    paper="paro-attention",
    claim="keeping all blocks is dense attention whatever the order; the chosen order keeps the most mass",
    source="the paper's reordering (one order of axes a head, the most block-like) and block sparsity",
    needs={"q", "k", "v"},
    differs="the order is chosen by the kept mass itself and not by a proxy; blocks a row of blocks; no quantisation",
    unit="values",
    kinds="self",
)
def reordered(
    q: Queries, k: Keys, v: Values, *, space: tuple[int, ...] | None = None,
    orders: Sequence[tuple[int, ...]] | None = None, block: int = 8, keep: float = 0.5, scale: float | None = None,
) -> Output:  # fmt: skip
    """Block-sparse attention of tokens that are sorted by another order of the axes of their space.

    space: how the tokens lie, as (frames, rows, columns), say; None: in a row. orders: for each head the axes from the
    slowest to the fastest; None: the order that keeps the most attention, found by trying all on these q and k.
    keep: the share of key blocks that each block of queries reads, those that hold most of its attention. The output
    stands in the order that the tokens had. scale: 1 / sqrt(D) unless given.

    q, k [B, H, N, D], v [B, H, N, E]; gives [B, H, N, E]. Choosing orders and blocks computes all weights once; a
    pipeline of many steps chooses on the first.

    Raises LayoutError where shapes, space or orders do not fit. Source: Zhao et al. 2025, "PAROAttention".

    >>> import regard as rg, torch
    >>> q, k, v = torch.randn(3, 1, 2, 24, 4)
    >>> dense = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    >>> torch.allclose(rg.operators.reordered(q, k, v, space=(2, 3, 4), keep=1.0), dense, atol=1e-5)
    True
    """
    check(q, k, v, same_count=True)
    space, scale = (q.shape[2],) if space is None else space, scale_of(q, scale)
    if not 0 < keep <= 1:
        raise LayoutError(f"keep={keep}", hint="a share of blocks above 0 and up to 1")
    if math.prod(space) != q.shape[2]:
        raise LayoutError(f"{q.shape[2]} tokens as {space}", hint="a space with as many places")
    mass = torch.softmax(scale * q.detach() @ k.detach().mT, -1)
    orders = choose_orders(mass, space, block, keep) if orders is None else orders
    if len(orders) != q.shape[1] or any(sorted(o) != list(range(len(space))) for o in orders):
        raise LayoutError(f"orders {list(orders)}", hint=f"for each of {q.shape[1]} heads, axes 0 .. {len(space) - 1}")
    places = torch.stack([_places(space, tuple(order)) for order in orders]).to(q.device)
    qs, ks, vs = (cut(x.take_along_dim(places[None, :, :, None], 2), block) for x in (q, k, v))
    index = _block_mass(mass, places, block).topk(_count(ks.shape[2], keep), -1).indices
    out = attend_blocks(qs, [Chosen(ks, vs, index)], scale=scale)
    return out.take_along_dim(places.argsort(-1)[None, :, :, None], 2)


def choose_orders(mass: Tensor, space: tuple[int, ...], block: int, keep: float) -> list[tuple[int, ...]]:
    """For each head of weights `[B, H, N, N]` the order of axes whose best blocks hold the most."""
    every = list(itertools.permutations(range(len(space))))
    kept = []
    for order in every:
        places = _places(space, order).to(mass.device).expand(mass.shape[1], -1)
        by_block = _block_mass(mass, places, block)
        kept.append(by_block.topk(_count(by_block.shape[-1], keep), -1).values.sum((0, 2, 3)))
    return [every[i] for i in torch.stack(kept).argmax(0).tolist()]


def _places(space: tuple[int, ...], order: tuple[int, ...]) -> Tensor:
    """The tokens, sorted by the axes in this order."""
    return torch.arange(math.prod(space)).view(space).permute(order).flatten()


def _block_mass(mass: Tensor, places: Tensor, block: int) -> Tensor:
    """Weights summed over pairs of blocks of the reordered tokens, [B, H, n, n]."""
    rows = cut(mass.take_along_dim(places[None, :, :, None], 2), block).sum(3)
    return cut(rows.take_along_dim(places[None, :, None], 3).mT, block).sum(3).mT


def _count(blocks: int, keep: float) -> int:
    return max(1, round(keep * blocks))
