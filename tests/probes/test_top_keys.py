from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

import regard as rg
from regard.errors import CallError

from .rows_of import blocks, logits, watched, whole


def naive(p: torch.Tensor, queries: tuple[int, ...], k: int) -> list[list[list[list[tuple[int, float]]]]]:
    pick = lambda row: sorted(enumerate(row), key=lambda pair: -pair[1])[:k]  # noqa: E731
    return [[[pick(head[q].tolist()) for q in queries] for head in one] for one in p]


@pytest.mark.parametrize("size", [1, 2, 4, 100])
def test_equals_sorting_the_rows(size: int) -> None:
    s = logits(2, 3, 6, 9)
    got = sum(rg.probes.top_keys(rows, queries=(4, 0, 4), k=3) for rows in blocks(s, size))
    torch.testing.assert_close(got, torch.tensor(naive(s.softmax(-1), (4, 0, 4), 3), dtype=torch.float64))


def test_of_equal_weights_the_earlier_key_comes_first() -> None:
    got = rg.probes.top_keys(whole(torch.zeros(1, 1, 1, 100)), k=4)
    assert got[0, 0, 0, :, 0].tolist() == [0, 1, 2, 3]
    torch.testing.assert_close(got[..., 1], torch.full((1, 1, 1, 4), 0.01))


def test_a_planted_key_is_first() -> None:
    s = torch.zeros(1, 1, 2, 50)
    s[0, 0, 1, 37] = 5.0
    key, weight = rg.probes.top_keys(whole(s), queries=(1,), k=1)[0, 0, 0, 0].tolist()
    assert key == 37
    assert weight == pytest.approx(float(torch.tensor(5.0).exp() / (torch.tensor(5.0).exp() + 49)))


def test_what_cannot_be_asked() -> None:
    rows = whole(logits(1, 1, 4, 3))
    for query in (4, -1):
        with pytest.raises(CallError, match=f"no query {query}: the call has 4"):
            rg.probes.top_keys(rows, queries=(query,), k=1)
    for k in (4, 0, -1):
        with pytest.raises(CallError, match=f"the first {k} keys: the call has 3"):
            rg.probes.top_keys(rows, k=k)


def test_agrees_with_the_explicit_matrix(dinov2: nn.Module) -> None:
    got, probs, _ = watched(dinov2, functools.partial(rg.probes.top_keys, queries=(0, 50), k=3))
    slow = torch.tensor(naive(probs, (0, 50), 3), dtype=torch.float64)
    torch.testing.assert_close(got.double(), slow, rtol=1e-5, atol=0)
