"""Fixations and scanpaths made of pictures, so that laws that speak of pictures speak of gaze too."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.testing.planted import CELLS, PATCH


def photo(x: Tensor) -> Tensor:
    """Planted pictures as photos in 0..1: grey noise, and red where the evidence lies."""
    return (0.4 + 0.2 * x).clamp(0, 1)


def eyes(x: Tensor, heatmap: Tensor | None = None) -> Mapping[str, Tensor]:
    """What gaze metrics ask for, out of the first picture: people look at the three reddest cells.

    heatmap: [1, h, w] to judge, else the redness itself; it is handed over as a density. others: one in each cell.
    """
    red = F.avg_pool2d(x[:1, 0], PATCH)[0]
    heat = torch.softmax((red if heatmap is None else heatmap[0].to(x)).flatten(), 0).view(CELLS, CELLS)
    every = torch.cartesian_prod(torch.arange(CELLS), torch.arange(CELLS)).flip(1).to(x) + 0.5
    looked = every[red.flatten().topk(3).indices]
    truth = torch.softmax(6 * red.flatten(), 0).view(CELLS, CELLS)
    baseline = torch.full_like(heat, 1 / heat.numel())
    return {"heatmap": heat, "points": looked, "others": every, "truth": truth, "baseline": baseline}
