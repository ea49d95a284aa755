"""Fixations and scanpaths made of pictures, so that laws that speak of pictures speak of gaze too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.testing.planted import CELLS, PATCH


def photo(x: Tensor) -> Tensor:
    """Planted pictures as photos in 0..1: grey noise, and red where the evidence lies."""
    return (0.4 + 0.2 * x).clamp(0, 1)


def paths(x: Tensor) -> Mapping[str, Any]:
    """Two scanpaths [n, 3] over the cells of the first two pictures, the reddest first, and the pictures' size."""
    found = []
    for one, n in zip(x[:2] if len(x) > 1 else (x[0], x[0].flip(-1)), (7, 6), strict=True):
        red = F.avg_pool2d(one[None, 0], PATCH)[0].flatten()
        at = red.topk(n).indices
        xy = torch.stack([at % CELLS, at // CELLS], 1).to(x) * PATCH + PATCH / 2 + red[at, None]
        found.append(torch.cat([xy, 0.2 + 0.1 * torch.sigmoid(red[at, None])], 1))
    return {"path": found[0], "other": found[1], "size": (CELLS * PATCH, CELLS * PATCH)}


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
