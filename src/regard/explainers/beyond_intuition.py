"""Beyond intuition: what attention has perceived, times what the decision gives back to it."""

from __future__ import annotations

import torch

from regard.core.record import Reading, Record
from regard.errors import CallError
from regard.registry import method
from regard.subjects.rows import push_row, query_of, readings_on_one_grid, unit_row
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="beyond-intuition",
    claim="the explicit matrices of attention perception and reasoning feedback",
    source="attention perception, head-wise form; reasoning feedback by integrated gradients",
    needs={"attention", "score"},
    differs="only the wanted row of the product is kept; one layer's head weights are computed at a time",
    unit="relevance",
)
def beyond_intuition(record: Record, score: Scorer, *, start: int | None = None, steps: int = 20) -> MapValues:
    """Head-weighted attention through the layers, times the positive integrated gradient of the last attention.

    r <- r + r sum_h w_h A_h for layers `start` .. last (from the last to the first), r the CLS row, w_h ~ mean |A_h^T
    dy/dA_h|; map = r * mean_h max(0, 1/K sum_k dy/dA_last,CLS (k/K x)), k = 1 .. K. Gives `[B, h, w]`; a forward and
    backward for each layer and each of `steps`.

    start: counted from 0; None is a third of the layers (4 of 12, as in the paper). Raises CallError for a start
    that leaves no layer.
    Source: Chen et al. 2023, "Beyond Intuition: Rethinking Token Attributions inside Transformers".

    >>> import regard as rg
    >>> from functools import partial
    >>> from regard.testing.planted import PlantedViT, planted_pictures
    >>> method = partial(rg.explainers.beyond_intuition, steps=5)
    >>> heat = rg.explain(PlantedViT(), planted_pictures([(2, 5)]), method=method, target=1)
    >>> divmod(int(heat.values.argmax()), 8)
    (2, 5)
    """
    readings, grid = readings_on_one_grid(record)
    start = len(readings) // 3 if start is None else start
    if not 0 <= start < len(readings):
        raise CallError(f"a start at layer {start} of {len(readings)}", hint=f"0 .. {len(readings) - 1}")
    query = query_of(grid, None)
    row = unit_row(readings[-1], query)
    for reading in reversed(readings[start:]):
        row = row + push_row(reading, row, _head_weights(score, reading))
    last = readings[-1]
    feedback = torch.zeros_like(row)[:, None]
    for k in range(1, steps + 1):
        seen = score.watch(["attention_gradient"], last.site, pictures=score.on.x * k / steps)
        feedback = feedback + seen[last.address]["attention_gradient"][:, :, 0] / steps
    heat = row * feedback.clamp_min(0).mean(1)
    return MapValues(grid.to_map(heat), grid, site=f"{readings[start].address} .. {last.address}")


def _head_weights(score: Scorer, reading: Reading) -> torch.Tensor:
    """Shares of a layer's heads `[B, H]`."""
    coupling = score.watch(["head_coupling"], reading.site)[reading.address]["head_coupling"].abs().mean((2, 3))
    return coupling / coupling.sum(1, keepdim=True).clamp_min(torch.finfo(coupling.dtype).tiny)
