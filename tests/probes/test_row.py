from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import CallError

from .rows_of import blocks, logits, whole


def test_rows_in_the_order_asked() -> None:
    s = logits(2, 3, 6, 4)
    got = rg.probes.row(whole(s), queries=(4, 0, 4))
    torch.testing.assert_close(got, s.softmax(-1)[:, :, [4, 0, 4]])


@pytest.mark.parametrize("size", [1, 2, 5, 6])
def test_blocks_sum_to_the_rows(size: int) -> None:
    s = logits(1, 2, 6, 4)
    total = sum(rg.probes.row(rows, queries=(5, 2)) for rows in blocks(s, size))
    torch.testing.assert_close(total, s.softmax(-1)[:, :, [5, 2]])


@pytest.mark.parametrize("query", [6, -1])
def test_a_query_that_is_not_there(query: int) -> None:
    with pytest.raises(CallError, match=f"no query {query}: the call has 6"):
        rg.probes.row(whole(logits(1, 1, 6, 6)), queries=(query,))
