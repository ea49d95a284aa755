"""CC: Pearson's correlation of two maps."""

from __future__ import annotations

from regard.gaze.metrics._shared import Heatmap, Higher, Truth, check_pair, moments
from regard.registry import method


@method(
    "gaze.metrics",
    paper="mit-saliency",
    claim="equals NumPy's corrcoef; scale and offset of either map do not matter",
    source="the MIT benchmark's CC",
    needs={"heatmap", "truth"},
    differs="none",
    unit="correlation",
)
def cc(heatmap: Heatmap, truth: Truth) -> Higher:
    """Pearson's correlation with the blurred map of people: -1..1; a constant map gives 0, two constant ones 1.

    The blur of the truth decides much: on OSIE the same maps score .39, .48 and .52 at 12, 24 and 35 px.

    heatmap, truth [h, w]. Raises LayoutError for maps of two sizes. Source: Bylinskii et al. 2019.

    >>> import torch
    >>> cc(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.tensor([[3.0, 2.0], [1.0, 0.0]]))
    tensor(-1.)
    """
    totals = check_pair(heatmap, truth)
    one, other = (moments(t, total) for t, total in zip((heatmap, truth), totals, strict=True))
    flat = [not m.variance > 0 for m in (one, other)]
    if any(flat):
        return (heatmap * 0 + truth * 0).sum() + float(all(flat))
    shared = one.values.dot(other.values) / heatmap.numel() - one.mean * other.mean
    return shared / (one.variance * other.variance).sqrt()
