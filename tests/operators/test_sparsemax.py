from __future__ import annotations

import torch

import regard as rg

from .tools import drawn, refuses

sparsemax = rg.operators.sparsemax


def test_no_point_of_the_simplex_is_nearer() -> None:
    logits = drawn((2, 3, 5, 6))[0]
    p = sparsemax(logits)
    assert torch.allclose(p.sum(-1), torch.ones(1).double())
    assert (p >= 0).all()
    others = torch.softmax(3 * drawn((500, 1, 1, 1, 6), seed=1)[0], -1)
    for each in (others, 0.99 * p + 0.01 * others):
        assert ((each - logits).norm(dim=-1) >= (p - logits).norm(dim=-1) - 1e-12).all()


def test_closed_cases_and_gradients() -> None:
    assert torch.allclose(sparsemax(torch.zeros(1, 1, 1, 4)), torch.full((4,), 0.25))
    assert sparsemax(torch.tensor([[[[5.0, 0.0, 4.5]]]])).flatten().tolist() == [0.75, 0.0, 0.25]
    logits = drawn((1, 2, 3, 5))[0].requires_grad_()
    assert torch.autograd.gradcheck(sparsemax, logits)
    shifted = logits.detach() + 100
    assert torch.allclose(sparsemax(shifted), sparsemax(logits.detach()), atol=1e-12)


def test_refusals() -> None:
    refuses("logits is [1, 1, 1, 2] torch.int64", "floats", sparsemax, torch.zeros(1, 1, 1, 2, dtype=torch.long))
