"""Polyline path masked attention: what lies between two patches decides how well they see each other."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.layout import Grid
from regard.operators._shared import Keys, Output, Queries, Values, check, check_float, check_grid, scale_of
from regard.registry import method


@method(
    "operators",
    paper="ppma",
    claim="the mask equals products of decays along each path; decays of 1 are plain attention",
    source="the released mask: along the row, then the column; both directions averaged after the softmax",
    needs={"q", "k", "v", "grid", "decay"},
    differs="decays are given (a layer computes them from tokens); positions by rotation are left out",
    unit="values",
    kinds="self",
)
def polyline(q: Queries, k: Keys, v: Values, grid: Grid, decay: Tensor, *, scale: float | None = None) -> Output:
    """out = 1/2 (softmax(s + M) + softmax(s + M^T)) v, with M_ij the log of the decays met from patch i to patch j.

    The path goes along i's row to j's column (decay[..., 0] of the patches met), then along that column to j
    (decay[..., 1]); M^T takes the other way round. Of the two ends of a leg the left or upper one does not count.
    By cumulative sums along rows and columns, so N^2 numbers cost N^2 additions.

    decay: factors in (0, 1], [B, H, N, 2]. scale: of s = scale q k^T, 1 / sqrt(D) unless given.
    q, k [B, H, N, D], v [B, H, N, E] on a grid of N patches; gives [B, H, N, E].

    Raises LayoutError where shapes do not fit, or a decay lies outside (0, 1]. Source: Zhao et al. 2025, "Polyline
    Path Masked Attention for Vision Transformer".

    >>> import regard as rg, torch
    >>> q, k, v = torch.randn(3, 1, 2, 6, 4)
    >>> dense = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    >>> torch.allclose(rg.operators.polyline(q, k, v, rg.Grid(2, 3), torch.ones(1, 2, 6, 2)), dense, atol=1e-6)
    True
    """
    check(q, k, v, same_count=True)
    check_grid(grid, q)
    check_float("decay", decay)
    if decay.shape != (*q.shape[:3], 2) or not bool(((decay > 0) & (decay <= 1)).all()):
        raise LayoutError(f"decay {list(decay.shape)} for q {list(q.shape)}", hint="[B, H, N, 2], above 0 and up to 1")
    mask, logits = path_mask(decay, grid), scale_of(q, scale) * q @ k.mT
    return (torch.softmax(logits + mask, -1) + torch.softmax(logits + mask.mT, -1)) / 2 @ v


def path_mask(decay: Tensor, grid: Grid) -> Tensor:
    """log of the product of decays along the row of i, then the column of j, `[B, H, N, N]`."""
    log = decay.log().unflatten(2, (grid.h, grid.w))
    along_row = _between(log[..., 0])  # [B, H, y, x, x']
    along_column = _between(log[..., 1].mT)  # [B, H, x', y, y']
    legs = along_row[:, :, :, :, None, :] + along_column.permute(0, 1, 3, 4, 2)[:, :, :, None]  # y, x, y', x'
    return legs.flatten(4).flatten(2, 3)


def _between(log: Tensor) -> Tensor:
    """Sums over what lies after the smaller and up to the larger of two places, [..., L, L]."""
    total = log.cumsum(-1)
    apart = total[..., :, None] - total[..., None, :]
    return apart.tril() - apart.triu()
