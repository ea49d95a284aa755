"""AUC as Borji's code has it: as many random pixels as fixations, many times, at coarse thresholds."""

from __future__ import annotations

import torch

from regard.gaze.metrics._shared import Heatmap, Higher, Points, check_map, pixels, stepped, stretched
from regard.registry import method


@method(
    "gaze.metrics",
    paper="mit-saliency",
    claim="equals a transcription of the benchmark's loop with the same draws; nears auc as step falls",
    source="the MIT benchmark's AUC_Borji",
    needs={"heatmap", "points"},
    differs="none",
    unit="area",
)
def auc_borji(heatmap: Heatmap, points: Points, *, splits: int = 100, step: float = 0.1, seed: int = 0) -> Higher:
    """Area under the curve against random pixels, thresholds `step` apart on the map between 0 and 1.

    The steps flatten the curve: on OSIE 0.1 takes 0.017 off. A pixel fixated twice counts once.

    heatmap [h, w]; points [n, 2] (x, y) in pixels of the map. Raises as `auc`, and LayoutError for a step outside 0..1.
    Source: Borji, Tavakoli, Sihite and Itti 2013; Bylinskii et al. 2019.

    >>> import torch
    >>> float(auc_borji(torch.tensor([[0.0, 0.0], [0.0, 3.0]]), torch.tensor([[1.0, 1.0]]))) > 0.8
    True
    """
    check_map(heatmap)
    values = stretched(heatmap).flatten()
    hits = values[pixels(points, heatmap, merge=True)]
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(values), (splits, len(hits)), generator=generator).to(values.device)
    return stepped(hits.expand(splits, -1), values[drawn], step)
