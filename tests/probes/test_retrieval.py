from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

import regard as rg
from regard.errors import CallError

from .rows_of import blocks, logits, watched, whole

PAIRS = ((0, 3), (4, 6), (4, 2), (2, 2), (3, 5), (1, 0))


def naive(p: torch.Tensor, pairs: tuple[tuple[int, int], ...]) -> torch.Tensor:
    out = torch.zeros(p.shape[:2], dtype=p.dtype)
    for b in range(p.shape[0]):
        for h in range(p.shape[1]):
            for query, key in pairs:
                row = p[b, h, query].tolist()
                out[b, h] += (row.index(max(row)) == key) / len(pairs)
    return out


@pytest.mark.parametrize("size", [1, 2, 100])
def test_blocks_sum_to_the_definition(size: int) -> None:
    s = logits(3, 8, 5, 7)
    got = sum(rg.probes.retrieval(rows, pairs=PAIRS) for rows in blocks(s, size))
    torch.testing.assert_close(got, naive(s.softmax(-1), PAIRS))
    assert len(got.unique()) > 2


def test_a_head_that_copies_the_needle_scores_one_and_uniform_attention_none() -> None:
    needle, answer = range(3, 7), range(12, 16)
    p = torch.full((1, 3, 16, 16), 0.02)
    for key, query in zip(needle, answer, strict=True):
        p[0, 0, query, key] = 0.7
        p[0, 1, query, key + (query > 13)] = 0.7  # loses its place half-way
    pairs = tuple(zip(answer, needle, strict=True))
    assert rg.probes.retrieval(whole(p.log()), pairs=pairs).tolist() == [[1.0, 0.5, 0.0]]
    shifted = tuple((query, key + 1) for query, key in pairs)  # the planted fault
    assert rg.probes.retrieval(whole(p.log()), pairs=shifted).tolist() == [[0.0, 0.5, 0.0]]


def test_a_wholly_masked_query_finds_nothing() -> None:
    s = torch.zeros(1, 1, 2, 3)
    s[0, 0, 0] = -float("inf")
    assert rg.probes.retrieval(whole(s), pairs=((0, 0),)).tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("pairs", "told"),
    [
        ((), "no pairs of a query and the key"),
        (((5, 0),), "no query 5: the call has 5"),
        (((0, 0), (-1, 0)), "no query -1"),
        (((0, 7),), "no key 7: the call has 7"),
        (((0, -1),), "no key -1"),
    ],
)
def test_pairs_that_are_not_there(pairs: tuple[tuple[int, int], ...], told: str) -> None:
    with pytest.raises(CallError, match=told):
        rg.probes.retrieval(whole(logits(1, 1, 5, 7)), pairs=pairs)


def test_agrees_with_the_explicit_matrix(dinov2: nn.Module) -> None:
    pairs = tuple((i, i) for i in range(1, 82))
    got, probs, _ = watched(dinov2, functools.partial(rg.probes.retrieval, pairs=pairs), "blocks.0.attn")
    torch.testing.assert_close(got.double(), naive(probs, pairs))
