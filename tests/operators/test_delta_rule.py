from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg

from .tools import agree, drawn, qkv, refuses

delta_rule = rg.operators.delta_rule


def loop(q: Tensor, k: Tensor, v: Tensor, beta: Tensor) -> Tensor:
    state, rows = q.new_zeros(*q.shape[:2], q.shape[3], v.shape[3]), []
    for t in range(q.shape[2]):
        stored = torch.einsum("bhd,bhde->bhe", k[:, :, t], state)
        change = beta[:, :, t, None] * (v[:, :, t] - stored)
        state = state + torch.einsum("bhd,bhe->bhde", k[:, :, t], change)
        rows.append(torch.einsum("bhd,bhde->bhe", q[:, :, t], state))
    return torch.stack(rows, 2)


def unit(x: Tensor) -> Tensor:
    return torch.nn.functional.normalize(x, dim=-1)


@pytest.mark.parametrize("form", ["parallel", "recurrent", "chunked"])
def test_every_form_is_the_recurrence(form: str) -> None:
    beta = torch.sigmoid(drawn((2, 3, 7), seed=1)[0])
    agree(
        lambda q, k, v, beta: delta_rule(q, unit(k), v, beta, form=form, chunk=3),
        lambda q, k, v, beta: loop(q, unit(k), v, beta), *qkv(), beta,
    )  # fmt: skip


def test_orthonormal_keys_are_linear_attention_and_beta_0_stores_nothing() -> None:
    q, _, v = qkv(q=4, k=4)
    k = torch.linalg.qr(drawn((2, 3, 4, 4), seed=2)[0]).Q
    plain = rg.operators.linear(q, k, v, feature="none", normalise=False, causal=True)
    one = torch.ones(2, 3, 4).double()
    assert torch.allclose(delta_rule(q, k, v, one), plain, atol=1e-12)
    assert torch.equal(delta_rule(q, k, v, 0 * one), torch.zeros_like(v))
    assert not torch.allclose(delta_rule(q, unit(q), v, one), rg.operators.linear(
        q, unit(q), v, feature="none", normalise=False, causal=True), atol=0.1)  # fmt: skip


def test_refusals() -> None:
    q, k, v = qkv()
    refuses("beta [2, 3, 6] for k", "[2, 3, 7]", delta_rule, q, k, v, torch.ones(2, 3, 6).double())
