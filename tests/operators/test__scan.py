"""The scan against a loop over tokens and pairs, in every step size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from regard.operators._scan import scan

from .tools import agree, drawn, qkv


def loop(q: Tensor, k: Tensor, v: Tensor, log_gate: Tensor) -> Tensor:
    gates, state, rows = log_gate.exp().expand_as(k), q.new_zeros(*q.shape[:2], q.shape[3], v.shape[3]), []
    for t in range(q.shape[2]):
        state = gates[:, :, t, :, None] * state + k[:, :, t, :, None] * v[:, :, t, None, :]
        rows.append((q[:, :, t, :, None] * state).sum(-2))
    return torch.stack(rows, 2)


@pytest.mark.parametrize("step", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("width", [1, 4])
def test_every_step_size_is_the_recurrence(step: int, width: int) -> None:
    gate = -drawn((2, 3, 7, width), seed=1)[0].abs()
    agree(lambda q, k, v, g: scan(q, k, v, g, step), loop, *qkv(), gate)


def test_without_gates_and_with_one_for_all() -> None:
    q, k, v = qkv()
    mask = torch.ones(7, 7).tril()
    agree(lambda *x: scan(*x, None, 3), lambda q, k, v: ((q @ k.mT) * mask) @ v, q, k, v)
    constant = torch.full((1, 1, 1, 1), -0.3, dtype=q.dtype)
    assert torch.allclose(scan(q, k, v, constant, 3), loop(q, k, v, constant.expand(1, 1, 7, 1)), atol=1e-12)


def test_strong_decays_neither_overflow_nor_lose_a_gradient() -> None:
    q, k, v = (x.float() for x in qkv(q=300, k=300))
    out = scan(q.requires_grad_(), k, v, torch.full((1, 1, 1, 4), -80.0), 300)
    assert torch.allclose(out, (q * k).sum(-1, keepdim=True) * v, atol=1e-5)
    assert torch.autograd.grad(out.sum(), q)[0].isfinite().all()


def test_no_tokens() -> None:
    assert scan(*qkv(q=0, k=0), None, 4).shape == (2, 3, 0, 5)
    one = qkv(q=1, k=1)
    torch.testing.assert_close(scan(*one, None, 4), (one[0] * one[1]).sum(-1, keepdim=True) * one[2])
