"""AUC as Judd's code has it: thresholds at fixated values only, fixated pixels are no false alarms."""

from __future__ import annotations

import torch

from regard.gaze.metrics._shared import Heatmap, Higher, Points, area, check_map, pixels, stretched
from regard.registry import method


@method(
    "gaze.metrics",
    paper="mit-saliency",
    claim="equals a transcription of the benchmark's loop over thresholds",
    source="the MIT benchmark's AUC_Judd",
    needs={"heatmap", "points"},
    differs="the jitter against ties is drawn only when asked for, from a seed of its own",
    unit="area",
)
def auc_judd(heatmap: Heatmap, points: Points, *, jitter: float = 0.0, seed: int = 0) -> Higher:
    """Area under the curve with the fixated values as thresholds.

    At the i-th highest fixated value: hits i / n, false alarms (#{pixels >= value} - i) / (#pixels - n); trapezes, with
    (0, 0) and (1, 1). A pixel fixated twice counts once. jitter: 1e-7 adds the benchmark's noise against ties.

    heatmap [h, w]; points [n, 2] (x, y) in pixels of the map. Raises as `auc`.
    Source: Judd, Durand and Torralba 2012; Bylinskii et al. 2019.

    >>> import torch
    >>> auc_judd(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), torch.tensor([[1.0, 1.0]]))
    tensor(1.)
    """
    check_map(heatmap)
    values = stretched(heatmap).flatten()
    if jitter:
        generator = torch.Generator().manual_seed(seed)
        noise = torch.rand(values.shape, generator=generator, dtype=torch.float64).to(values)
        values = stretched((values + jitter * noise)[None])[0]
    at = pixels(points, heatmap, merge=True)
    if len(at) == len(values):
        return values.new_tensor(0.5)  # everything is fixated: there is nothing to tell apart
    hits = values[at].sort(descending=True).values
    rising = values.sort().values
    above = len(values) - torch.searchsorted(rising, hits)
    i = torch.arange(1, len(hits) + 1, device=values.device).double()
    return area(i / len(at), (above - i) / (len(values) - len(at))).to(values.dtype)
