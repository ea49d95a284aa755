"""SIM: how much of two maps lies in the same place."""

from __future__ import annotations

import torch

from regard.gaze.metrics._shared import Heatmap, Higher, Truth, check_pair, pieces, stretched, weighed
from regard.registry import method


@method(
    "gaze.metrics",
    paper="mit-saliency",
    claim="equals 1 - half the sum of absolute differences; 1 for equal maps",
    source="the MIT benchmark's similarity",
    needs={"heatmap", "truth"},
    differs="none",
    unit="share",
)
def sim(heatmap: Heatmap, truth: Truth, *, stretch: bool = False) -> Higher:
    """Histogram intersection sum min(S, G) of the two maps, each divided by its sum: 0..1.

    stretch: both are first brought to 0..1 (MIT, AIM 2024); otherwise only negative values are shifted away.

    heatmap, truth [h, w]. Raises LayoutError for maps of two sizes, DegenerateError for one that sums to 0.
    Source: Judd, Durand and Torralba 2012; Bylinskii et al. 2019.

    >>> import torch
    >>> sim(torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, 0.0]]))
    tensor(0.5000)
    """
    totals = check_pair(heatmap, truth)
    if stretch:
        heatmap, truth = (stretched(t) if t.max() > t.min() else t for t in (heatmap, truth))
        totals = heatmap.sum(), truth.sum()
    s, own = weighed(heatmap, "the map", totals[0])
    g, people = weighed(truth, "the map of people", totals[1])
    scale = people / own
    return torch.stack([torch.minimum(a * scale, b).sum() for a, b in pieces(s, g)]).sum() / people
