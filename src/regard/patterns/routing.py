"""Routing: regions see the regions that match them best, and their tokens see all tokens of these."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.patterns._pattern import Blocks, Held, Pattern, block_of
from regard.patterns._space import Place, Space, as_space, check_operands, per_axis
from regard.registry import method


@method(
    "patterns",
    paper="biformer",
    claim="keep = all regions is dense; a planted pair of regions finds each other",
    source="section 3.2, eq. 3-5: region-to-region routing",
    needs=(),
    differs="regions of the last row and column may be smaller",
    unit="pairs",
)
def routing(q: Tensor, k: Tensor, queries: Place, size: int | Sequence[int] = 7, keep: int = 4) -> Pattern:
    """Tokens see all tokens of the `keep` regions whose mean key matches their own region's mean query best.

    A = Qr Kr^T, with Qr, Kr the means of q and k over a region of `size` tokens on each axis, all heads side by side;
    I = top_k(A). q, k `[B, H, N, D]`.

    Raises LayoutError for shapes that do not fit or keep outside 1 .. regions. Source: Zhu et al. 2023, "BiFormer".

    >>> import regard as rg, torch
    >>> q = torch.randn(1, 2, 16, 8, generator=torch.Generator().manual_seed(0))
    >>> rg.patterns.routing(q, q, (4, 4), size=2, keep=3).count()
    192
    """
    space = as_space(queries)
    check_operands(q, k, space, space)
    sizes = per_axis(size, space, "size")
    region = block_of(torch.arange(space.body, device=q.device), space.axes, sizes)
    count = int(region[-1]) + 1
    if not 1 <= keep <= count:
        raise LayoutError(f"keep = {keep} of {count} regions", hint=f"1 .. {count}")
    with torch.no_grad():
        k = k.repeat_interleave(q.shape[1] // k.shape[1], 1)
        affinity = _means(q, region, count, space) @ _means(k, region, count, space).mT
        chosen = affinity.topk(keep, -1).indices
        table = torch.zeros_like(affinity, dtype=torch.bool).scatter_(-1, chosen, True)
    rule = Blocks(Held(table[:, None]), sizes, space.axes, space.axes)
    return Pattern(f"routing({space}, {sizes}, {keep})", space, space, rule, lead=(len(q), 1))


def _means(x: Tensor, region: Tensor, count: int, space: Space) -> Tensor:
    """`[B, regions, H * D]`."""
    wide = x[:, :, space.prefix :].transpose(1, 2).flatten(2)
    total = wide.new_zeros(len(wide), count, wide.shape[2]).index_add_(1, region, wide)
    return total / region.bincount(minlength=count)[:, None]
