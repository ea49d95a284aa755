"""Outlook attention: each patch says at once how the patches around it look at one another."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.layout import Grid
from regard.operators._shared import Output, Values, check_float, check_grid
from regard.registry import method


@method(
    "operators",
    paper="volo-outlook",
    claim="equals timm's outlook attention with copied weights; uniform weights are a double box sum",
    source="algorithm 1, as in timm",
    needs={"v", "affinity", "grid"},
    differs="the weights' logits are given (a linear layer of each token makes them); stride 1",
    unit="values",
)
def outlook(v: Values, affinity: Tensor, grid: Grid, *, kernel: int = 3) -> Output:
    """Around each patch softmax(affinity) mixes the kernel x kernel values; overlapping results are added up.

    out_p = sum over centres c near p of sum_r softmax_r(affinity_c[p - c, r]) v_{c + r}; outside the grid v is 0.

    v [B, H, N, E] on a grid of N patches, affinity [B, H, N, kernel^2, kernel^2] of targets and sources (scaled
    already); gives [B, H, N, E]. Cost N kernel^4 E, linear in the patches.

    Raises LayoutError where shapes do not fit, or kernel is even. Source: Yuan et al. 2022, "VOLO: Vision Outlooker
    for Visual Recognition".

    >>> import regard as rg, torch
    >>> rg.operators.outlook(torch.ones(1, 1, 9, 1), torch.zeros(1, 1, 9, 9, 9), rg.Grid(3, 3))[0, 0, 4]  # the middle
    tensor([5.4444])
    """
    check_float("v", v)
    check_float("affinity", affinity, "B, H, N, K, K")
    check_grid(grid, v)
    size = kernel * kernel
    if kernel % 2 == 0 or affinity.shape != (*v.shape[:3], size, size):
        raise LayoutError(
            f"affinity {list(affinity.shape)}, kernel {kernel} for v {list(v.shape)}", hint="[B, H, N, k^2, k^2], k odd"
        )
    b, h, n, e = v.shape
    around = F.unfold(v.mT.reshape(b * h, e, grid.h, grid.w), kernel, padding=kernel // 2)  # [BH, E k^2, N]
    around = around.view(b, h, e, size, n).permute(0, 1, 4, 3, 2)
    mixed = (torch.softmax(affinity, -1) @ around).permute(0, 1, 4, 3, 2).reshape(b * h, e * size, n)
    return F.fold(mixed, (grid.h, grid.w), kernel, padding=kernel // 2).view(b, h, e, n).mT
