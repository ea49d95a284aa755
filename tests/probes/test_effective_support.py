from __future__ import annotations

import pytest
import torch
from torch import nn

import regard as rg

from .rows_of import blocks, logits, watched, whole


def test_equals_the_definition() -> None:
    s = logits(2, 3, 5, 7)
    p = s.softmax(-1)
    slow = torch.zeros(2, 3, 5, dtype=torch.float64)
    for b in range(2):
        for h in range(3):
            for q in range(5):
                slow[b, h, q] = 1 / sum(float(v) ** 2 for v in p[b, h, q])
    torch.testing.assert_close(rg.probes.effective_support(whole(s)), slow, rtol=1e-12, atol=0)


@pytest.mark.parametrize("keys", [1, 2, 63, 1000])
def test_equal_keys_are_counted(keys: int) -> None:
    s = torch.full((1, 1, 2, keys + 5), -float("inf"))
    s[..., :keys] = 3.0
    torch.testing.assert_close(rg.probes.effective_support(whole(s)), torch.full((1, 1, 2), float(keys)))


def test_a_wholly_masked_query_looks_at_none() -> None:
    s = torch.full((1, 1, 1, 3), -float("inf"))
    assert float(rg.probes.effective_support(whole(s))) == 0.0


def test_never_more_than_the_entropy_allows() -> None:
    rows = whole(logits(2, 2, 9, 31))
    assert bool((rg.probes.effective_support(rows) <= 2 ** rg.probes.entropy(rows)).all())


def test_blocks_are_the_whole_in_pieces() -> None:
    s = logits(1, 2, 9, 6)
    pieces = torch.cat([rg.probes.effective_support(rows) for rows in blocks(s, 4)], dim=2)
    torch.testing.assert_close(pieces, rg.probes.effective_support(whole(s)))


def test_agrees_with_the_explicit_matrix(dinov2: nn.Module) -> None:
    got, probs, _ = watched(dinov2, rg.probes.effective_support)
    torch.testing.assert_close(got.double(), 1 / probs.square().sum(-1), rtol=1e-5, atol=0)
