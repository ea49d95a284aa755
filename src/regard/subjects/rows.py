"""Rows of attention out of a record that kept "attention": where that is q and k, no N x N matrix is held."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.core.call import Call
from regard.core.record import Reading, Record
from regard.errors import CallError
from regard.layout import Grid


def query_of(grid: Grid, query: int | None) -> int:
    """The query asked for; None is CLS, where there is one."""
    if query is None and grid.prefix == 0:
        raise CallError(
            "this model has no CLS token whose attention could stand for the picture's",
            hint="query=0 .. for one patch, or watch(model, keep='received')",
        )
    chosen = query or 0
    if not -grid.tokens <= chosen < grid.tokens:
        raise CallError(f"no query {chosen}: there are {grid.tokens} tokens", hint=f"0 .. {grid.tokens - 1}")
    return chosen


def call_of(reading: Reading) -> Call:
    """The call behind a reading that kept its weights, or q, k and bias (values are not needed for attention)."""
    kept = reading.values
    site, index, mechanism = reading.site, reading.index, reading.mechanism
    if mechanism == "by hand" or not {"q", "k"} <= set(kept):
        weights = reading["probs"]
        return Call(site, index, mechanism, q=None, k=None, v=weights.mT, weights=weights)
    q, k = kept["q"], kept["k"]
    return Call(
        site, index, mechanism, q=q, k=k, v=k, bias=reading.bias, causal=reading.causal, scale=reading.scale
    )  # fmt: skip


def unit_row(reading: Reading, query: int) -> Float[Tensor, "b q"]:
    """1 at one query, 0 elsewhere, in the type and place of what was kept."""
    like = next(iter(reading.values.values()))
    row = torch.zeros(reading.batch, reading.queries, dtype=torch.promote_types(like.dtype, torch.float32))
    row[:, query] = 1.0
    return row.to(like.device)


def attention_rows(reading: Reading, query: int) -> Float[Tensor, "b h k"]:
    """One query's attention in every head."""
    if not -reading.queries <= query < reading.queries:
        raise CallError(f"no query {query} at {reading.address}: it has {reading.queries}", hint="0 is CLS, if any")
    query %= reading.queries
    return call_of(reading).probs(query, query + 1)[:, :, 0]


def push_row(
    reading: Reading, row: Float[Tensor, "b q"], heads: Float[Tensor, "b h"] | None = None
) -> Float[Tensor, "b k"]:
    """row @ mean_h A, or row @ sum_h heads_h A_h, a block of queries at a time."""
    call = call_of(reading)
    total = row.new_zeros(row.shape[0], reading.keys)
    for rows in call.blocks():
        part = row[:, None, None, rows.start : rows.stop] @ rows.probs
        total += part[:, :, 0].mean(1) if heads is None else (heads[..., None] * part[:, :, 0]).sum(1)
    return total


def readings_on_one_grid(record: Record) -> tuple[list[Reading], Grid]:
    """All self-attention readings that share the last one's grid, in order."""
    last = last_on_grid(record, -1)
    assert last.grid is not None
    return [r for r in record if r.grid == last.grid], last.grid


def last_on_grid(record: Record, layer: int) -> Reading:
    """The reading of a layer, counted among those on a grid."""
    on_grid = [r for r in record if r.grid is not None]
    if not on_grid:
        raise CallError(
            "no attention of this model lies on a grid of patches",
            hint="regard.sites(model, x) says what was seen; gradcam works without attention",
        )
    count = len(on_grid)
    if not -count <= layer < count:
        raise CallError(f"no layer {layer}: {count} lie on a grid", hint=f"{-count} .. {count - 1}")
    return on_grid[layer]
