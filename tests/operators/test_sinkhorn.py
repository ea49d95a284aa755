from __future__ import annotations

import torch

import regard as rg

from .tools import agree, drawn, refuses

sinkhorn = rg.operators.sinkhorn


def by_division(logits: torch.Tensor) -> torch.Tensor:
    p = logits.exp()
    for _ in range(2):
        p = p / p.sum(-1, keepdim=True)
        p = p / p.sum(-2, keepdim=True) * p.shape[-2] / p.shape[-1]
    return p / p.sum(-1, keepdim=True)


def test_steps_are_divisions_in_turn() -> None:
    logits = drawn((2, 3, 5, 8))[0]
    agree(sinkhorn, by_division, logits)
    assert torch.allclose(sinkhorn(logits, steps=1), torch.softmax(logits, -1), atol=1e-12)


def test_it_converges_to_a_doubly_stochastic_matrix() -> None:
    p = sinkhorn(drawn((2, 3, 6, 6))[0], steps=201)
    assert torch.allclose(p.sum(-1), torch.ones(1).double(), atol=1e-9)
    assert torch.allclose(p.sum(-2), torch.ones(1).double(), atol=1e-9)
    assert not torch.allclose(sinkhorn(drawn((2, 3, 6, 6))[0], steps=1).sum(-2), torch.ones(1).double(), atol=0.1)


def test_refusals() -> None:
    refuses("steps=0", "1 .. any", sinkhorn, torch.zeros(1, 1, 2, 2), steps=0)
