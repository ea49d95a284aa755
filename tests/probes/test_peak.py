from __future__ import annotations

import torch
from torch import nn

import regard as rg

from .rows_of import blocks, logits, watched, whole


def test_equals_the_definition() -> None:
    s = logits(2, 3, 5, 7)
    p, got = s.softmax(-1), rg.probes.peak(whole(s))
    for b in range(2):
        for h in range(3):
            for q in range(5):
                assert float(got[b, h, q]) == max(p[b, h, q].tolist())


def test_uniform_attention_one_key_and_none() -> None:
    inf = float("inf")
    s = torch.tensor([[[[0.0, 0.0, 0.0, 0.0], [-inf, 5.0, -inf, -inf], [-inf, -inf, -inf, -inf]]]])
    torch.testing.assert_close(rg.probes.peak(whole(s)), torch.tensor([[[0.25, 1.0, 0.0]]]))


def test_blocks_are_the_whole_in_pieces() -> None:
    s = logits(1, 2, 9, 6)
    pieces = torch.cat([rg.probes.peak(rows) for rows in blocks(s, 4)], dim=2)
    assert torch.equal(pieces, rg.probes.peak(whole(s)))


def test_agrees_with_the_explicit_matrix(dinov2: nn.Module) -> None:
    got, probs, _ = watched(dinov2, rg.probes.peak)
    torch.testing.assert_close(got.double(), probs.amax(-1), rtol=1e-5, atol=0)
