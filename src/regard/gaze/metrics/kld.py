"""KL divergence of a map from people's."""

from __future__ import annotations

import torch

from regard.gaze.metrics._shared import Heatmap, Lower, Truth, check_pair, logs, pieces, weighed
from regard.registry import method


@method(
    "gaze.metrics",
    paper="mit-saliency",
    claim="equals sum G log(eps + G / (S + eps)); 0 for equal maps; the other direction gives another number",
    source="the MIT benchmark's KLdiv",
    needs={"heatmap", "truth"},
    differs="a map with negative values is shifted to start at 0, as pysaliency does",
    unit="nats",
)
def kld(heatmap: Heatmap, truth: Truth, *, eps: float = 2.2204e-16) -> Lower:
    """KL divergence sum G log(eps + G / (S + eps)), G people's map and S this one, both divided by their sums.

    A map with zeros where people look is punished without bound: that is what it is for.

    heatmap, truth [h, w]. Raises LayoutError for maps of two sizes, DegenerateError for one that sums to 0.
    Source: Bylinskii et al. 2019.

    >>> import torch
    >>> kld(torch.tensor([[1.0, 1.0]]), torch.tensor([[1.0, 0.0]]))
    tensor(0.6931)
    """
    totals = check_pair(heatmap, truth)
    s, own = weighed(heatmap, "the map", totals[0])
    g, people = weighed(truth, "the map of people", totals[1])
    scale, least = own / people, eps * own  # G / (S + eps) = scale g / (s + least)
    found = [b.dot(logs(b / (a + least) + eps / scale)) for a, b in pieces(s, g)]
    return torch.stack(found).sum() / people + scale.log()
