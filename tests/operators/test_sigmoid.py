from __future__ import annotations

import torch

import regard as rg

from .tools import agree, drawn

sigmoid = rg.operators.sigmoid


def test_each_pair_decides_for_itself() -> None:
    logits = drawn((2, 3, 5, 6))[0]
    agree(sigmoid, lambda s: 1 / (1 + 6 * (-s).exp()), logits)
    agree(lambda s: sigmoid(s, bias=0.5), lambda s: 1 / (1 + (-s - 0.5).exp()), logits)
    moved = logits.clone()
    moved[..., 2] += 5
    assert torch.equal(sigmoid(moved)[..., :2], sigmoid(logits)[..., :2])
    assert not torch.equal(torch.softmax(moved, -1)[..., :2], torch.softmax(logits, -1)[..., :2])
