"""Information gain: bits a fixation that a density knows more than a baseline."""

from __future__ import annotations

from regard.errors import DegenerateError
from regard.gaze.metrics._shared import Heatmap, Higher, Points, Truth, check_pair, pixels
from regard.registry import method


@method(
    "gaze.metrics",
    paper="information-gain",
    claim="equals the mean log ratio at fixations; recovers the divergence of the density that made the fixations",
    source="Kümmerer, Wallis and Bethge 2015",
    needs={"heatmap", "points", "baseline"},
    differs="none",
    unit="bits a fixation",
)
def information_gain(heatmap: Heatmap, points: Points, baseline: Truth) -> Higher:
    """Mean over fixations of log2 p - log2 p_baseline: 0 where the density knows no more than the baseline.

    heatmap, baseline [h, w]: densities, none negative, each of sum 1; the usual baseline is a centre prior out of other
    pictures. A map that is no density has no information gain, so it is refused.

    points [n, 2] (x, y) in pixels of the map. Raises DegenerateError for what is no density, else as `auc`.

    >>> import torch
    >>> flat = torch.full((2, 2), 0.25)
    >>> information_gain(torch.tensor([[0.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 1.0]]), flat)
    tensor(2.)
    """
    totals = check_pair(heatmap, baseline)
    for name, t, total in zip(("the map", "the baseline"), (heatmap, baseline), totals, strict=True):
        if t.min() < 0 or abs(float(total) - 1) > 1e-3:
            raise DegenerateError(
                f"{name} is no density: values from {float(t.min()):.3g}, sum {float(total):.4g}",
                hint="a map of probabilities that sum to 1; saliency has no information gain",
            )
    at = pixels(points, heatmap)
    return (heatmap.flatten()[at].log2() - baseline.flatten()[at].log2()).mean()
