from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg
from regard.operators.performer import _orthogonal

from .tools import agree, dense, qkv, refuses

performer = rg.operators.performer


def test_the_kernel_is_unbiased() -> None:
    """The mean over 400 draws of phi(q) . phi(k) lies within four standard errors of exp(q . k)."""
    q, k, _ = (x[0, 0] / 2 for x in qkv())
    draws = []
    for seed in range(400):
        w = _orthogonal(8, 4, seed)
        a, b = ((x @ w.T - x.square().sum(-1, keepdim=True) / 2).exp() for x in (q, k))
        draws.append(a @ b.T / 8)
    found = torch.stack(draws)
    error = (found.mean(0) - (q @ k.T).exp()).abs()
    assert (error < 4 * found.std(0) / 20).all()


def test_directions_are_orthogonal_in_blocks() -> None:
    w = _orthogonal(10, 4, 0)
    assert w.shape == (10, 4)
    gram = w[:4] @ w[:4].T
    assert torch.allclose(gram, torch.diag(gram.diagonal()), atol=1e-12)
    assert torch.equal(w, _orthogonal(10, 4, 0))
    assert not torch.equal(w, _orthogonal(10, 4, 1))


def test_the_error_falls_with_the_features() -> None:
    q, k, v = (x / 2 for x in qkv(q=20, k=20))
    errors = [float((performer(q, k, v, features=m) - dense(q, k, v)).abs().mean()) for m in (16, 256, 4096)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


@pytest.mark.parametrize("form", ["parallel", "recurrent", "chunked"])
@pytest.mark.parametrize("causal", [True, False])
def test_equals_the_quadratic_form_of_its_features(causal: bool, form: str) -> None:
    w = _orthogonal(16, 4, 3)

    def slow(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        a, b = ((x / 2**0.5 @ w.T - x.square().sum(-1, keepdim=True) / 4).exp() for x in (q, k))
        weights = (a @ b.mT).tril() if causal else a @ b.mT
        return weights / weights.sum(-1, keepdim=True) @ v

    agree(lambda *x: performer(*x, features=16, seed=3, causal=causal, form=form, chunk=3), slow, *qkv())


def test_long_vectors_do_not_overflow() -> None:
    q, k, v = (20 * x.float() for x in qkv())
    w = _orthogonal(16, 4, 3).float()
    a, b = (x / 2**0.5 @ w.T - x.square().sum(-1, keepdim=True) / 4 for x in (q, k))
    logits = (a[:, :, :, None] + b[:, :, None]).logsumexp(-1)  # of phi(q) . phi(k), which by itself is mostly 0
    assert (logits.exp().sum(-1) == 0).any()
    got = performer(q, k, v, features=16, seed=3)
    assert got.isfinite().all()
    alive = (logits - logits.amax((2, 3), keepdim=True)).amax(-1) > -60  # rows that the largest does not drown
    assert alive.any()
    torch.testing.assert_close(got[alive], (logits.softmax(-1) @ v)[alive], rtol=1e-3, atol=1e-3)


def test_refusals() -> None:
    refuses("features=0", "1 .. any", performer, *qkv(), features=0)
