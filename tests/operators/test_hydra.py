from __future__ import annotations

import torch

import regard as rg

from .tools import agree, qkv


def slow(q, k, v):  # type: ignore[no-untyped-def]
    q, k = (x / x.norm(dim=-1, keepdim=True) for x in (q, k))
    split = lambda x: x.transpose(1, 2).flatten(2).transpose(1, 2)[..., None]  # [B, H D, N, 1]  # noqa: E731
    out = (split(q) @ split(k).mT) @ split(v)
    return out[..., 0].unflatten(1, (3, 4)).transpose(2, 3)


def test_equals_linear_attention_with_one_head_a_channel() -> None:
    agree(rg.operators.hydra, slow, *qkv(q=5, k=9, e=4))


def test_the_planted_fault_unnormalised_keys() -> None:
    q, k, v = qkv(e=4)
    assert torch.allclose(rg.operators.hydra(q, 3 * k, v), rg.operators.hydra(q, k, v), atol=1e-12)
    assert not torch.allclose(rg.operators.hydra(q, k, 3 * v), rg.operators.hydra(q, k, v), atol=0.1)
