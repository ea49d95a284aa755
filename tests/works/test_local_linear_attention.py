"""local-linear-attention works: weighted least squares for each query, exact for affine values."""

from __future__ import annotations

import torch
from torch import Tensor

import regard as rg
from regard.testing.marks import works

from .arithmetic import dense, drawn, gap, with_gradients

local_linear = rg.operators.local_linear


def least_squares(q: Tensor, k: Tensor, v: Tensor, ridge: float) -> Tensor:
    """The normal equations of each query, with an intercept that is not penalised."""
    b, h, n, d = q.shape
    w = torch.softmax(q @ k.mT / d**0.5, -1)
    design = torch.cat([torch.ones(b, h, n, k.shape[2], 1).double(), k[:, :, None] - q[:, :, :, None]], -1)
    penalty = ridge * torch.diag(torch.tensor([0.0] + [1.0] * d).double())
    left = torch.einsum("bhqk,bhqkd,bhqke->bhqde", w, design, design) + penalty
    right = torch.einsum("bhqk,bhqkd,bhkf->bhqdf", w, design, v)
    return torch.linalg.solve(left, right)[..., 0, :]


@works("local-linear-attention")
def test_equals_explicit_weighted_least_squares() -> None:
    """Outputs and gradients over five draws and two ridges."""
    for seed in range(5):
        q, k, v = (drawn(2, 2, n, d, seed=10 * seed + i) for i, (n, d) in enumerate(((6, 3), (15, 3), (15, 2))))
        for ridge in (1e-2, 1.0):
            fitted = with_gradients(lambda *x, r=ridge: least_squares(*x, r), q, k, v)
            assert gap(with_gradients(lambda *x, r=ridge: local_linear(*x, ridge=r), q, k, v), fitted) < 1e-8


@works("local-linear-attention")
def test_recovers_affine_values_exactly_where_softmax_attention_errs() -> None:
    """v = A k + b, also for queries outside the hull of the keys: error below 1e-6, of softmax attention above 0.3."""
    for seed in range(3):
        q, k = 2 * drawn(1, 2, 20, 4, seed=seed), drawn(1, 2, 60, 4, seed=seed + 10)
        a, b = drawn(4, 3, seed=seed + 20), drawn(3, seed=seed + 30)
        errors = local_linear(q, k, k @ a + b, ridge=1e-9) - (q @ a + b)
        assert float(errors.abs().max()) < 1e-5
        assert float((dense(q, k, k @ a + b) - (q @ a + b)).abs().mean()) > 0.3


@works("local-linear-attention")
def test_blockwise_equals_dense_in_output_and_gradient() -> None:
    for block in (1, 3, 7, 64):
        q, k, v = drawn(1, 2, 20, 4), drawn(1, 2, 20, 4, seed=1), drawn(1, 2, 20, 3, seed=2)
        for causal in (False, True):
            whole = with_gradients(lambda *x, c=causal: local_linear(*x, form="dense", causal=c), q, k, v)
            parts = with_gradients(lambda *x, c=causal, b=block: local_linear(*x, block=b, causal=c), q, k, v)
            assert gap(whole, parts) < 1e-10
