"""Rows and pushed rows against the explicit matrices."""

from __future__ import annotations

import pytest
import torch

from regard.core import call as call_module
from regard.core.call import Call
from regard.core.record import Reading, Record
from regard.errors import CallError
from regard.layout import Grid
from regard.subjects.rows import attention_rows, call_of, last_on_grid, push_row, query_of, readings_on_one_grid

from ..core.test_call import make, mask


def as_reading(call: Call, grid: Grid | None = None) -> Reading:
    return Reading(
        site=call.site, index=0, mechanism="sdpa", batch=call.batch, heads=call.heads, queries=call.queries,
        keys=call.keys, scale=call.scale, causal=call.causal, bias=call.bias, grid=grid, error=torch.zeros(()),
        values={"q": call.q, "k": call.k},
    )  # fmt: skip


@pytest.mark.parametrize("given", [{}, {"causal": True}, {"hk": 2}, {"bias": mask(7, 7)}])
def test_rows_and_pushes_equal_the_matrix(given: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_module, "BLOCK", 100)
    call = make(k=7, **given)  # type: ignore[arg-type]
    reading = as_reading(call)
    matrix = call.probs()
    torch.testing.assert_close(call_of(reading).probs(), matrix)
    torch.testing.assert_close(attention_rows(reading, 3), matrix[:, :, 3])
    torch.testing.assert_close(attention_rows(reading, -1), matrix[:, :, -1])
    row = torch.rand(2, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(push_row(reading, row), (row[:, None] @ matrix.mean(1))[:, 0])


def test_a_query_that_is_not_there() -> None:
    with pytest.raises(CallError, match="no query 7"):
        attention_rows(as_reading(make()), 7)


def test_layers_are_counted_on_the_grid() -> None:
    call, grid, other = make(k=7), Grid(2, 3, prefix=1), Grid(7, 1)
    on, off, elsewhere = as_reading(call, grid), as_reading(call), as_reading(call, other)
    record = Record([elsewhere, off, on, off, on])
    assert last_on_grid(record, -1) is on
    assert last_on_grid(record, 0) is elsewhere
    assert readings_on_one_grid(record) == ([on, on], grid)
    with pytest.raises(CallError, match="no layer 3: 3 lie") as caught:
        last_on_grid(record, 3)
    assert caught.value.hint == "-3 .. 2"
    with pytest.raises(CallError, match="no attention of this model lies on a grid"):
        last_on_grid(Record([off]), -1)


def test_a_model_without_cls_has_no_query_by_default() -> None:
    assert query_of(Grid(2, 2, prefix=1), None) == 0
    assert query_of(Grid(2, 2), 3) == 3
    with pytest.raises(CallError, match="no CLS token"):
        query_of(Grid(2, 2), None)
    for query in (4, -5):
        with pytest.raises(CallError, match=f"no query {query}: there are 4 tokens"):
            query_of(Grid(2, 2), query)
