from __future__ import annotations

import pytest
import torch

import regard as rg

from .tools import drawn, refuses

entmax = rg.operators.entmax


def test_from_softmax_to_the_projection() -> None:
    logits = drawn((2, 3, 5, 9))[0]
    assert torch.allclose(entmax(logits, alpha=1.0), torch.softmax(logits, -1), atol=1e-12)
    assert torch.allclose(entmax(logits, alpha=1.001), torch.softmax(logits, -1), atol=1e-3)
    assert torch.allclose(entmax(logits, alpha=2.0), rg.operators.sparsemax(logits), atol=1e-9)
    zeros = [int((entmax(4 * logits, alpha=a) == 0).sum()) for a in (1.0, 1.25, 1.5, 2.0)]
    assert zeros == sorted(zeros)
    assert zeros[0] == 0 < zeros[1]


@pytest.mark.parametrize("alpha", [1.2, 1.5, 1.9, 2.0])
def test_no_point_of_the_simplex_does_better(alpha: float) -> None:
    """p . s + H_alpha(p) with Tsallis' entropy, against 2,000 random points near and far."""
    logits = drawn((1, 1, 1, 6))[0].flatten()
    p = entmax(logits.view(1, 1, 1, 6), alpha=alpha).flatten()
    assert float(p.sum()) == pytest.approx(1.0, abs=1e-9)
    value = lambda x: x @ logits + (x - x**alpha).sum(-1) / (alpha * (alpha - 1))  # noqa: E731
    generator = torch.Generator().manual_seed(1)
    others = torch.distributions.Exponential(torch.ones(1).double()).icdf(
        torch.rand(2000, 6, generator=generator, dtype=torch.float64)
    )
    others = others / others.sum(-1, keepdim=True)
    near = 0.99 * p + 0.01 * others
    assert (value(torch.cat([others, near])) <= value(p) + 1e-9).all()


@pytest.mark.parametrize("alpha", [1.25, 1.5, 1.75])
def test_gradients(alpha: float) -> None:
    logits = drawn((1, 2, 3, 5))[0].requires_grad_()
    assert torch.autograd.gradcheck(lambda x: entmax(x, alpha=alpha), logits, atol=1e-5)


def test_float32_sums_to_one_and_masked_keys_get_nothing() -> None:
    logits = drawn((1, 1, 4, 50))[0].float()
    logits[..., 3] = float("-inf")
    p = entmax(logits)
    assert torch.allclose(p.sum(-1), torch.ones(1), atol=1e-6)
    assert (p[..., 3] == 0).all()


def test_refusals() -> None:
    refuses("alpha=2.5", "1 (softmax) .. 2", entmax, torch.zeros(1, 1, 1, 2), alpha=2.5)
    refuses("logits is [2]", "floats", entmax, torch.zeros(2))
