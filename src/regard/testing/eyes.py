"""Fixations and scanpaths made of pictures, so that laws that speak of pictures speak of gaze too."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
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


def recording(x: Tensor) -> Mapping[str, Any]:
    """Samples at 500 a second that rest 120 ms on each of the reddest places, and which of them are fixations.

    Ten pixels are a degree; jumps last 10 ms; noise of a seed of its own, so that no axis is ever still.
    """
    import numpy as np

    from regard.gaze.events.samples import samples

    places = paths(x)["path"][:, :2].double().numpy() * 20
    steps = [np.repeat(places[:1], 60, 0)]
    for one, other in pairwise(places):
        steps += [np.linspace(one, other, 7)[1:-1], np.repeat(other[None], 60, 0)]
    xy = np.concatenate(steps)
    xy = xy + np.random.default_rng(0).normal(0, 0.2, xy.shape)
    labels = np.concatenate([np.full(len(one), 1 if len(one) == 60 else 2) for one in steps])
    return {"eye": samples(np.arange(len(xy)) / 500, xy, per_degree=10.0), "labels": labels}


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
