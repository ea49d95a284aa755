"""Raw attention: where one token looks in one layer."""

from __future__ import annotations

from typing import Literal

from regard.core.record import Record
from regard.errors import CallError
from regard.registry import method
from regard.subjects.rows import attention_rows, last_on_grid, query_of
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="dino",
    claim="the row of an explicit softmax(q k^T), over patches",
    source="section 4.2.2 and figure 1: self-attention of [CLS] in the last layer",
    needs={"attention"},
    differs="heads are fused unless one is chosen",
    unit="share of attention",
)
def attention(
    record: Record, *, layer: int = -1, head: int = -1, query: int | None = None, fuse: Literal["mean", "max"] = "mean"
) -> MapValues:
    """Attention of one query token over the patches, in one layer.

    a_j = fuse_h p^(l,h)_qj for patch keys j; layer counts the layers on the grid (negative from the
    end), head -1 fuses all heads, query None is CLS, which the model must have. Gives `[B, h, w]`; with
    prefix tokens its sum is below 1 by what falls on them.

    Source: Caron et al. 2021, "Emerging Properties in Self-Supervised Vision Transformers".

    >>> import regard as rg
    >>> model = rg.model("random:vit_tiny_patch16_224")
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method="attention").values.shape
    (1, 14, 14)
    """
    reading = last_on_grid(record, layer)
    assert reading.grid is not None
    rows = attention_rows(reading, query_of(reading.grid, query))
    if not -1 <= head < reading.heads:
        raise CallError(f"no head {head} at {reading.address}: it has {reading.heads}", hint="-1 for all of them")
    if head >= 0:
        fused = rows[:, head]
    else:
        fused = rows.mean(1) if fuse == "mean" else rows.amax(1)
    return MapValues(reading.grid.to_map(fused), reading.grid, site=reading.address)
