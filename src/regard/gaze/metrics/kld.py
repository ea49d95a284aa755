"""KL divergence of a map from people's."""

from __future__ import annotations

from regard.gaze.metrics._shared import Heatmap, Lower, Truth, check_pair, shares
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
    check_pair(heatmap, truth)
    s, g = shares(heatmap, "the map"), shares(truth, "the map of people")
    ratio = (g / s.add_(eps)).add_(eps).log_()  # in place: fresh memory costs more than the sums
    return g.flatten().dot(ratio.flatten())
