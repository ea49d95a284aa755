from __future__ import annotations

import math

import pytest
import torch

import regard as rg

from .rows_of import blocks, logits, whole


def test_equals_the_definition() -> None:
    s = logits(2, 3, 5, 7)
    p = s.softmax(-1)
    slow = torch.zeros(2, 3, 5, dtype=torch.float64)
    for b in range(2):
        for h in range(3):
            for q in range(5):
                slow[b, h, q] = -sum(float(v) * math.log2(float(v)) for v in p[b, h, q])
    torch.testing.assert_close(rg.probes.entropy(whole(s)), slow, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("keys", [1, 2, 64, 1000])
def test_uniform_attention_has_log2_of_the_keys(keys: int) -> None:
    got = rg.probes.entropy(whole(torch.full((1, 1, 2, keys), 3.0, dtype=torch.float64)))
    torch.testing.assert_close(got, torch.full((1, 1, 2), math.log2(keys), dtype=torch.float64))


def test_one_key_has_none_and_large_logits_stay_exact() -> None:
    s = torch.tensor([[[[1000.0, 0.0, -1000.0], [500.0, 500.0, -1e4]]]], dtype=torch.float64)
    torch.testing.assert_close(rg.probes.entropy(whole(s)), torch.tensor([[[0.0, 1.0]]], dtype=torch.float64))


def test_forbidden_keys_add_nothing_and_a_masked_row_has_none() -> None:
    inf = float("inf")
    s = torch.tensor([[[[0.0, 0.0, -inf], [-inf, -inf, -inf]]]], dtype=torch.float64)
    torch.testing.assert_close(rg.probes.entropy(whole(s)), torch.tensor([[[1.0, 0.0]]], dtype=torch.float64))


def test_blocks_are_the_whole_in_pieces() -> None:
    s = logits(1, 2, 9, 6)
    pieces = torch.cat([rg.probes.entropy(rows) for rows in blocks(s, 4)], dim=2)
    torch.testing.assert_close(pieces, rg.probes.entropy(whole(s)))


def test_never_negative_in_single_precision() -> None:
    s = torch.tensor([[[[88.0] + [0.0] * 500]]])
    assert float(rg.probes.entropy(whole(s)).min()) >= 0.0
