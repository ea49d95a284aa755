"""inline-attention works: linear in cost, sums to 1, and tells q from 2q where plain linear attention cannot."""

from __future__ import annotations

import torch
from torch import Tensor

import regard as rg
from regard.testing.marks import works

from .arithmetic import drawn, flops, gap, with_gradients


def weights(q: Tensor, k: Tensor) -> Tensor:
    """The matrix of a linear operator, read off with identity values."""
    return rg.operators.inline(q, k, torch.eye(k.shape[2], dtype=k.dtype).expand(*k.shape[:2], -1, -1), feature="relu")


def quadratic(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    s = q.relu() @ k.relu().mT / q.shape[-1] ** 0.5 / k.shape[2]
    return (s - s.mean(-1, keepdim=True) + 1 / k.shape[2]) @ v


@works("inline-attention")
def test_linear_equals_quadratic_and_weights_sum_to_one() -> None:
    """Over five draws of odd sizes, outputs and gradients to 1e-12."""
    for seed in range(5):
        q, k, v = (drawn(2, 3, n, d, seed=10 * seed + d) for n, d in ((7 + seed, 5), (11, 5), (11, 4)))
        linear = with_gradients(lambda *x: rg.operators.inline(*x, feature="relu"), q, k, v)
        assert gap(linear, with_gradients(quadratic, q, k, v)) < 1e-12
        assert gap(weights(q, k).sum(-1), torch.ones(1).double()) < 1e-12


@works("inline-attention")
def test_q_and_2q_look_alike_to_linear_attention_and_different_to_inline() -> None:
    """All of 64 queries: equal to 1e-12 under ReLU features normalised by division, and apart by over 1e-3 here."""
    q, k = drawn(1, 1, 64, 8), drawn(1, 1, 32, 8, seed=1)
    eye = torch.eye(32, dtype=q.dtype)[None, None]
    plain = [rg.operators.linear(x, k, eye, feature="relu") for x in (q, 2 * q)]
    ours = [weights(x, k) for x in (q, 2 * q)]
    assert gap(*plain) < 1e-12
    assert float((ours[0] - ours[1]).abs().amax(-1).min()) > 1e-3


@works("inline-attention")
def test_cost_is_linear_in_tokens() -> None:
    """Twice the tokens, twice the counted operations; of the quadratic form four times."""
    few, many = ([drawn(1, 2, n, 16, seed=i) for i in range(3)] for n in (128, 256))
    assert flops(rg.operators.inline, *many) == 2 * flops(rg.operators.inline, *few)
    assert flops(quadratic, *many) == 4 * flops(quadratic, *few)
