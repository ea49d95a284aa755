"""NSS: how high the map stands at fixations, in its own standard deviations."""

from __future__ import annotations

from regard.gaze.metrics._shared import Heatmap, Higher, Points, check_map, moments, pixels
from regard.registry import method


@method(
    "gaze.metrics",
    paper="nss",
    claim="equals the mean z-score at fixations; scale and offset of the map do not matter",
    source="Peters et al. 2005",
    needs={"heatmap", "points"},
    differs="none",
    unit="standard deviations",
)
def nss(heatmap: Heatmap, points: Points, *, sample: bool = False, merge: bool = False) -> Higher:
    """Normalised scanpath saliency: mean over fixations of (s - mean) / std; 0 is chance; a constant map gives 0.

    sample: divide by N - 1 in the variance (MATLAB, many torch ports); merge: a pixel fixated twice counts once.

    heatmap [h, w]; points [n, 2] (x, y) in pixels of the map. Raises as `auc`.

    >>> import torch
    >>> nss(torch.tensor([[0.0, 0.0], [0.0, 4.0]]), torch.tensor([[1.0, 1.0]]))
    tensor(1.7321)
    """
    values, mean, variance = moments(heatmap, check_map(heatmap))
    at = pixels(points, heatmap, merge=merge)
    if not variance > 0:
        return (heatmap * 0).sum()
    n = len(values)
    return (values[at].mean() - mean) / (variance * (n / (n - sample))).sqrt()
