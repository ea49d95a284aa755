"""AUC as the MIT/Tübingen benchmark has it: can the map tell fixated pixels from all pixels?"""

from __future__ import annotations

from regard.gaze.metrics._shared import Heatmap, Higher, Points, check_map, pixels, ranks
from regard.registry import method


@method(
    "gaze.metrics",
    paper="saliency-made-easy",
    claim="equals the share of (fixation, pixel) pairs in the right order; no monotone change of the map moves it",
    source="the benchmark's definition: negatives are all pixels, every value is a threshold, ties count half",
    needs={"heatmap", "points"},
    differs="none",
    unit="area",
)
def auc(heatmap: Heatmap, points: Points) -> Higher:
    """Area under the curve of hits against false alarms: 0.5 is chance, 1 the best that can be asked.

    mean over fixations i of (#{pixels < s_i} + #{pixels = s_i} / 2) / #{pixels}; a pixel fixated twice counts twice.

    heatmap [h, w]; points [n, 2] (x, y) in pixels of the map. Raises LayoutError for points outside, DegenerateError
    for no points or a map that is not finite. Source: Kümmerer, Wallis and Bethge 2018.

    >>> import torch
    >>> auc(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.tensor([[1.0, 1.0]]))
    tensor(0.8750)
    """
    check_map(heatmap)
    values = heatmap.flatten()
    return ranks(values[pixels(points, heatmap)], values)
