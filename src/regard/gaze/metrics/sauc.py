"""Shuffled AUC: can the map tell this picture's fixations from those that people make on other pictures?"""

from __future__ import annotations

from regard.gaze.metrics._shared import Heatmap, Higher, Others, Points, check_map, pixels, ranks
from regard.registry import method


@method(
    "gaze.metrics",
    paper="saliency-made-easy",
    claim="equals the share of (fixation, other fixation) pairs in the right order; a centre prior is at chance",
    source="the benchmark's definition: all fixations of other pictures, every value a threshold",
    needs={"heatmap", "points", "others"},
    differs="none",
    unit="area",
)
def sauc(heatmap: Heatmap, points: Points, others: Others) -> Higher:
    """Area under the curve against fixations on other pictures: what a map knows beyond the centre.

    mean over fixations i of (#{others < s_i} + #{others = s_i} / 2) / #{others}.

    heatmap [h, w]; points, others [n, 2] (x, y) in pixels of this map (others rescaled to it). Raises as `auc`.
    Source: Zhang et al. 2008 (the idea); Kümmerer, Wallis and Bethge 2018.

    >>> import torch
    >>> sauc(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.tensor([[1.0, 1.0]]), torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
    tensor(0.7500)
    """
    check_map(heatmap)
    values = heatmap.flatten()
    return ranks(values[pixels(points, heatmap)], values[pixels(others, heatmap)])
