from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

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


@pytest.mark.parametrize("size", [1, 4, 6])
def test_whole_matrices_of_chosen_heads(size: int) -> None:
    s, total = logits(2, 3, 6, 4), None
    for rows in blocks(s, size):
        total = rg.probes.row(rows, total, queries=None, heads=(2, 0))
    torch.testing.assert_close(total, s.softmax(-1)[:, [2, 0]])
    some = rg.probes.row(whole(s), queries=(3,), heads=(1,))
    torch.testing.assert_close(some, s.softmax(-1)[:, 1:2, 3:4])


def test_kept_while_a_model_runs_at_the_size_of_the_chosen_heads(tiny_vit: nn.Module) -> None:
    x = rg.image("sample:coffee", like=tiny_vit)
    with torch.no_grad(), rg.watch(tiny_vit, "blocks.3.attn", keep=["probs"]) as full:
        tiny_vit(x)
    chosen = partial(rg.probes.row, queries=None, heads=(1,))
    with torch.no_grad(), rg.watch(tiny_vit, "blocks.3.attn", keep={"map": chosen}) as record:
        tiny_vit(x)
    torch.testing.assert_close(record[0]["map"], full[0]["probs"][:, 1:2], rtol=1e-5, atol=1e-7)
    assert record.bytes * 3 == full.bytes


def test_a_head_that_is_not_there() -> None:
    with pytest.raises(CallError, match="no head 3: the call has 3"):
        rg.probes.row(whole(logits(1, 3, 6, 6)), heads=(3,))
