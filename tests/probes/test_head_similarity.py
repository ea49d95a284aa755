from __future__ import annotations

import functools
import math

import pytest
import torch
from torch import nn

import regard as rg
from regard.errors import MethodError

from .rows_of import blocks, logits, watched, whole


def cosine(p: torch.Tensor, q: torch.Tensor) -> float:
    return float(p @ q / p.norm() / q.norm())


def js(p: torch.Tensor, q: torch.Tensor) -> float:
    """1 - the mean divergence of both from their middle, in bits."""
    apart = 0.0
    for a, b in zip(p.tolist(), q.tolist(), strict=True):
        for one in (a, b):
            apart += 0.5 * one * math.log2(one / ((a + b) / 2)) if one else 0.0
    return 1 - apart


SLOW = {"cosine": cosine, "js": js}


def naive(p: torch.Tensor, by: str) -> torch.Tensor:
    out = torch.zeros(p.shape[0], p.shape[1], p.shape[1], dtype=torch.float64)
    for b, one in enumerate(p):
        for g in range(p.shape[1]):
            for h in range(p.shape[1]):
                out[b, g, h] = sum(SLOW[by](one[g, i], one[h, i]) for i in range(p.shape[2])) / p.shape[2]
    return out


@pytest.mark.parametrize("by", SLOW)
@pytest.mark.parametrize("size", [1, 2, 100])
def test_blocks_sum_to_the_definition(by: str, size: int) -> None:
    s = logits(2, 3, 5, 7)
    s[:, :, :, 5:] = -float("inf")
    got = sum(rg.probes.head_similarity(rows, by=by) for rows in blocks(s, size))
    torch.testing.assert_close(got, naive(s.softmax(-1), by))


@pytest.mark.parametrize("by", SLOW)
def test_alike_and_apart(by: str) -> None:
    p = torch.zeros(1, 3, 2, 4)
    p[:, :2, :, :2] = 0.5
    p[:, 2, :, 2:] = 0.5
    got = rg.probes.head_similarity(whole(p.log()), by=by)
    torch.testing.assert_close(got, torch.tensor([[[1.0, 1, 0], [1, 1, 0], [0, 0, 1]]]))


def test_half_of_the_attention_shared() -> None:
    """Two keys of which one is common: cosine 1/2, and half a bit apart."""
    p = torch.tensor([[[[0.5, 0.5, 0.0]], [[0.0, 0.5, 0.5]]]])
    for by in SLOW:
        assert float(rg.probes.head_similarity(whole(p.log()), by=by)[0, 0, 1]) == pytest.approx(0.5)
    p = torch.tensor([[[[1.0, 0.0, 0.0]], [[0.1, 0.9, 0.0]]]])
    unlike = [float(rg.probes.head_similarity(whole(p.log()), by=by)[0, 0, 1]) for by in SLOW]
    assert abs(unlike[0] - unlike[1]) > 0.1  # the two are not one formula


@pytest.mark.parametrize("by", SLOW)
def test_a_wholly_masked_query_is_not_alike(by: str) -> None:
    s = torch.zeros(1, 2, 4, 3)
    s[:, 0, 3] = -float("inf")
    got = rg.probes.head_similarity(whole(s), by=by)
    torch.testing.assert_close(got, torch.tensor([[[0.75, 0.75], [0.75, 1.0]]]))


def test_single_precision_does_not_blur_long_sums() -> None:
    """One product over queries and keys at once is off by 6e-4 here."""
    s = logits(1, 2, 400, 257)
    wide, narrow = (rg.probes.head_similarity(whole(x)) for x in (s, s.float()))
    torch.testing.assert_close(narrow.double(), wide, rtol=2e-6, atol=0)


def test_another_measure_is_refused() -> None:
    with pytest.raises(MethodError, match="no similarity named 'cosin'") as caught:
        rg.probes.head_similarity(whole(logits(1, 2, 3, 3)), by="cosin")
    assert caught.value.hint == "'cosine', or one of cosine, js"


@pytest.mark.parametrize("by", SLOW)
def test_agrees_with_the_explicit_matrix(by: str, dinov2: nn.Module) -> None:
    got, probs, _ = watched(dinov2, functools.partial(rg.probes.head_similarity, by=by))
    few = probs[:, :2, ::25]
    kept = rg.probes.head_similarity(whole(few.log()), by=by)
    torch.testing.assert_close(kept, naive(few, by))
    torch.testing.assert_close(got.double(), rg.probes.head_similarity(whole(probs.log()), by=by), rtol=1e-4, atol=1e-5)
