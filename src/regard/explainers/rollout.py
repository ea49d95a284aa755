"""Attention rollout: attention multiplied through the layers."""

from __future__ import annotations

from regard.core.record import Record
from regard.errors import LayoutError
from regard.registry import method
from regard.subjects.rows import push_row, query_of, readings_on_one_grid, unit_row
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="rollout",
    claim="the CLS row of the explicit product of (1 - r) A + r I over the layers",
    source="written from section 4, attention rollout",
    needs={"attention"},
    differs="only the wanted row is computed, from the last layer to the first: O(N) memory instead of O(N^2)",
    unit="share of attention",
)
def rollout(record: Record, *, query: int | None = None, residual: float = 0.5) -> MapValues:
    """Follow one output token back to the input patches through head-averaged attention.

    r <- residual * r + (1 - residual) * r A_l, from the last layer to the first, r starting as the
    unit row of `query` (None: CLS, which the model must have); A_l is the mean over heads of layer l's
    attention. The row keeps its sum of 1; the map holds its patches.

    Our residual, A_l: 0.5 and A in the paper (A^ = 0.5 W_att + 0.5 I). Gives `[B, h, w]`.
    Source: Abnar and Zuidema 2020, "Quantifying Attention Flow in Transformers", section 4.

    >>> import regard as rg
    >>> model = rg.model("random:vit_tiny_patch16_224")
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method="rollout").values.shape
    (1, 14, 14)
    """
    readings, grid = readings_on_one_grid(record)
    if not 0 <= residual <= 1:
        raise LayoutError(f"a residual of {residual} is no share", hint="0 .. 1; 0.5 in the paper")
    row = unit_row(readings[-1], query_of(grid, query))
    for reading in reversed(readings):
        row = residual * row + (1.0 - residual) * push_row(reading, row)
    return MapValues(grid.to_map(row), grid, site=f"{readings[0].address} .. {readings[-1].address}")
