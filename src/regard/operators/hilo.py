"""HiLo attention: some heads look closely inside windows, the others at window means everywhere."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.layout import Grid
from regard.operators._shared import Keys, Output, Queries, Values, check, check_grid, softmax_attention
from regard.registry import method


@method(
    "operators",
    paper="hilo",
    claim="all high heads are window attention, all low ones attention to pooled keys and values",
    source="the paper's split of heads: windows, and pooled keys and values",
    needs={"q", "k", "v", "grid"},
    differs="keys and values are pooled after their projection, which for linear maps is the same",
    unit="values",
    kinds="self",
)
def hilo(
    q: Queries, k: Keys, v: Values, grid: Grid, *, low: float = 0.5, window: int = 2, scale: float | None = None
) -> Output:
    """The first heads attend inside window x window patches; the share `low` of heads asks the means of all windows.

    low: the paper's alpha; rounded to whole heads. scale: 1 / sqrt(D) unless given.

    q, k [B, H, N, D], v [B, H, N, E] on a grid of N patches; gives [B, H, N, E]. Cost, in products of pairs, of a
    high head N w^2, of a low one N^2 / w^2.

    Raises LayoutError where windows do not divide the grid, or low is no share. Source: Pan et al. 2022, "Fast Vision
    Transformers with HiLo Attention".

    >>> import regard as rg, torch
    >>> zero, v = torch.zeros(1, 2, 4, 1), torch.tensor([1.0, 2.0, 3.0, 6.0]).expand(1, 2, 4)[..., None]
    >>> rg.operators.hilo(zero, zero, v, rg.Grid(2, 2), window=1)[..., 0]  # alone in its window; the mean of all
    tensor([[[1., 2., 3., 6.],
             [3., 3., 3., 3.]]])
    """
    check(q, k, v, same_count=True)
    check_grid(grid, q)
    if not 0 <= low <= 1:
        raise LayoutError(f"low={low}", hint="the share of heads that look at means, 0 .. 1")
    if window < 1 or grid.h % window or grid.w % window:
        raise LayoutError(f"windows of {window} x {window} on grid {grid}", hint="a size that divides both sides")
    high = q.shape[1] - round(low * q.shape[1])
    near = softmax_attention(*(_windows(x[:, :high], grid, window) for x in (q, k, v)), scale=scale)
    few_k, few_v = (_pooled(x[:, high:], grid, window) for x in (k, v))
    far = softmax_attention(q[:, high:], few_k, few_v, scale=scale)
    return torch.cat([_back(near, grid, window), far], 1)


def _windows(x: Tensor, grid: Grid, window: int) -> Tensor:
    """[B, H, windows, window^2, D]."""
    cut = x.unflatten(2, (grid.h // window, window, grid.w // window, window))
    return cut.transpose(3, 4).flatten(4, 5).flatten(2, 3)


def _back(x: Tensor, grid: Grid, window: int) -> Tensor:
    cut = x.unflatten(2, (grid.h // window, grid.w // window)).unflatten(4, (window, window))
    return cut.transpose(3, 4).flatten(2, 5)


def _pooled(x: Tensor, grid: Grid, window: int) -> Tensor:
    """Means of the windows, [B, H, windows, D]."""
    maps = x.flatten(0, 1).mT.unflatten(-1, (grid.h, grid.w))
    return F.avg_pool2d(maps, window).flatten(2).mT.unflatten(0, x.shape[:2])
