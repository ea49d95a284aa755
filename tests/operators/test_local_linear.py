"""Against a weighted least squares problem for each query, solved by lstsq on its square-rooted rows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg

from .tools import agree, dense, qkv, refuses

local_linear = rg.operators.local_linear


def by_lstsq(q: Tensor, k: Tensor, v: Tensor, ridge: float, causal: bool = False) -> Tensor:
    out = v.new_zeros(*q.shape[:3], v.shape[-1])
    d = q.shape[-1]
    for b, h, i in torch.cartesian_prod(*(torch.arange(s) for s in q.shape[:3])).tolist():
        seen = slice(0, i + 1 if causal else k.shape[2])
        w = torch.softmax(k[b, h, seen] @ q[b, h, i] * d**-0.5, -1)
        rows = torch.cat([torch.ones(len(w), 1, dtype=v.dtype), k[b, h, seen] - q[b, h, i]], 1) * w.sqrt()[:, None]
        penalty = torch.cat([torch.zeros(d, 1, dtype=v.dtype), torch.eye(d, dtype=v.dtype) * ridge**0.5], 1)
        wanted = torch.cat([v[b, h, seen] * w.sqrt()[:, None], torch.zeros(d, v.shape[-1], dtype=v.dtype)])
        out[b, h, i] = torch.linalg.lstsq(torch.cat([rows, penalty]), wanted).solution[0]
    return out


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("ridge", [1e-3, 1.0])
def test_equals_weighted_least_squares(ridge: float, causal: bool) -> None:
    inputs = qkv(q=7, k=7 if causal else 11, d=3, e=2)
    assert torch.allclose(
        local_linear(*inputs, ridge=ridge, causal=causal), by_lstsq(*inputs, ridge, causal), atol=1e-9
    )


@pytest.mark.parametrize("causal", [False, True])
def test_blockwise_is_dense(causal: bool) -> None:
    agree(
        lambda *x: local_linear(*x, block=3, causal=causal),
        lambda *x: local_linear(*x, form="dense", causal=causal),
        *qkv(),
    )


def test_a_large_ridge_is_softmax_attention() -> None:
    q, k, v = qkv()
    assert torch.allclose(local_linear(q, k, v, ridge=1e9), dense(q, k, v), atol=1e-7)
    assert not torch.allclose(local_linear(q, k, v), dense(q, k, v), atol=1e-2)


def test_refusals() -> None:
    refuses("ridge=0", "above 0", local_linear, *qkv(), ridge=0.0)
    refuses("form='flash'", "dense or blockwise", local_linear, *qkv(), form="flash")
    refuses("block=0", "1 .. any", local_linear, *qkv(), block=0)
