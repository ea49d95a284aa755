"""Shuffled AUC as the MIT code has it: as many of the other fixations as there are own, at coarse thresholds."""

from __future__ import annotations

import torch

from regard.gaze.metrics._shared import Heatmap, Higher, Others, Points, check_map, pixels, stepped, stretched
from regard.registry import method


@method(
    "gaze.metrics",
    paper="mit-saliency",
    claim="equals a transcription of the benchmark's loop with the same draws",
    source="the MIT benchmark's AUC_shuffled",
    needs={"heatmap", "points", "others"},
    differs="none",
    unit="area",
)
def sauc_borji(
    heatmap: Heatmap, points: Points, others: Others, *, splits: int = 100, step: float = 0.1, seed: int = 0
) -> Higher:
    """Area under the curve against draws (without repeats) of other pictures' fixations, thresholds `step` apart.

    A pixel fixated twice counts once, among own and other fixations. On OSIE steps of 0.1 take 0.016 off.

    heatmap [h, w]; points, others [n, 2] (x, y) in pixels of this map. Raises as `auc_borji`.
    Source: Bylinskii et al. 2019.

    >>> import torch
    >>> same = torch.tensor([[1.0, 1.0]])
    >>> sauc_borji(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), same, same)
    tensor(0.5000)
    """
    check_map(heatmap)
    values = stretched(heatmap).flatten()
    hits = values[pixels(points, heatmap, merge=True)]
    there = values[pixels(others, heatmap, merge=True)]
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(splits, len(there), generator=generator).argsort(1)[:, : len(hits)].to(values.device)
    return stepped(hits.expand(splits, -1), there[order], step)
