from __future__ import annotations

from typing import Any

import pytest
import torch

import regard as rg
from regard.core.record import Reading, Record
from regard.errors import CallError, SiteError


def reading(site: str, index: int = 0, heads: int = 2, **values: torch.Tensor) -> Reading:
    return Reading(
        site=site, index=index, mechanism="sdpa", batch=1, heads=heads, queries=3, keys=3, scale=1.0, causal=False,
        bias=None, grid=None, error=torch.tensor(0.1 * (index + 1)), values=values,
    )  # fmt: skip


def test_table_is_the_mean_over_batch_and_queries_without_nan() -> None:
    values = torch.tensor([[[1.0, 3.0, float("nan")], [4.0, 4.0, 4.0]]])
    readings = [reading("a", number=values), reading("b", heads=1, number=torch.tensor([[7.0]]))]
    table = Record(readings, {"number": "bits"}).table("number")
    assert table.rows == (("a", 2.0, 4.0), ("b", 7.0, None))
    assert table.columns == ("site", "head 0", "head 1")
    assert table.units["head 1"] == "bits"


def test_batches_count_alike() -> None:
    values = torch.tensor([[[1.0], [2.0]], [[3.0], [4.0]]])
    one = reading("a", number=values)
    object.__setattr__(one, "batch", 2)
    assert Record([one]).table("number").rows == (("a", 2.0, 3.0),)


def test_a_matrix_is_no_table() -> None:
    with pytest.raises(CallError, match="not one number a head") as caught:
        Record([reading("a", probs=torch.zeros(1, 2, 3, 3))]).table("probs")
    assert "record['a']['probs']" in caught.value.hint


def test_addresses_of_further_calls() -> None:
    record = Record([reading("a"), reading("a", 1), reading("b")])
    assert record["a"].index == 0
    assert record["a[0]"].index == 0
    assert record["a[1]"].index == 1
    assert [r.address for r in record] == ["a", "a[1]", "b"]
    assert [r.index for r in record.select("a")] == [0, 1]
    for missing in ("c", "a[2]"):
        with pytest.raises(SiteError, match="no site"):
            record[missing]
    with pytest.raises(SiteError):
        record.select("nope*")


def test_what_was_not_kept_is_named() -> None:
    with pytest.raises(CallError, match="'k' was not kept at a; kept: q") as caught:
        reading("a", q=torch.zeros(1))["k"]
    assert "keep=['k']" in caught.value.hint


def test_bytes_and_error() -> None:
    record = Record([reading("a", q=torch.zeros(3)), reading("b", 1, q=torch.zeros(2, dtype=torch.float64))])
    assert record.bytes == 3 * 4 + 2 * 8
    assert record.error == pytest.approx(0.2)
    assert Record().error == 0.0


def test_reprs_are_one_line(tiny_vit: Any) -> None:
    with torch.no_grad(), rg.watch(tiny_vit, keep=["q", "entropy"]) as record:
        tiny_vit(torch.zeros(1, 3, 224, 224))
    assert repr(record).startswith("Record(")
    assert "calls, " in repr(record)
    assert "\n" not in repr(record) + repr(record.readings[0])
    assert repr(record.readings[0]).endswith("q entropy)")


def test_calls_are_found_by_address_place_or_pattern() -> None:
    record = Record([reading("blocks.0.attn"), reading("blocks.1.attn"), reading("blocks.1.attn", index=1)])
    assert record[1].address == "blocks.1.attn"
    assert record[-1].address == "blocks.1.attn[1]"
    assert "blocks.0.attn" in record
    assert "blocks.0.attn[0]" in record
    assert "blocks.2.attn" not in record
    assert 0 not in record
    with pytest.raises(SiteError, match=r"the record has 3\n  try: record.select\('blocks.\*'\) gives a list"):
        record["blocks.*"]
