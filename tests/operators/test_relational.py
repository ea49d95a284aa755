from __future__ import annotations

import torch
from torch import Tensor

import regard as rg

from .tools import agree, drawn, qkv, refuses

relational = rg.operators.relational


def slow(q: Tensor, k: Tensor, v: Tensor, rq: Tensor, rk: Tensor, mix: Tensor) -> Tensor:
    weights, rows = torch.softmax(q @ k.mT / 2, -1), []
    for i in range(q.shape[2]):
        total = 0
        for j in range(k.shape[2]):
            relation = (rq[:, :, i] * rk[:, :, j]).sum(-1)  # [B, L]
            carried = torch.einsum("bl,hle->bhe", relation, mix) + v[:, :, j]
            total = total + weights[:, :, i, j, None] * carried
        rows.append(total)
    return torch.stack(rows, 2)  # type: ignore[arg-type]


def test_equals_a_loop_over_pairs() -> None:
    agree(relational, slow, *qkv(q=5, k=7), *drawn((2, 2, 5, 6), (2, 2, 7, 6), (3, 2, 5), seed=1))


def test_without_relations_the_symbols_are_averaged() -> None:
    q, k, v = qkv()
    rq, mix = drawn((2, 2, 7, 6), (3, 2, 5), seed=1)
    plain = torch.softmax(q @ k.mT / 2, -1) @ v
    assert torch.allclose(relational(q, k, v, 0 * rq, rq, mix), plain, atol=1e-12)
    assert not torch.allclose(relational(q, k, v, rq, rq, mix), plain, atol=0.1)


def test_refusals() -> None:
    q, k, v = qkv()
    rq, mix = drawn((2, 2, 7, 6), (3, 2, 5), seed=1)
    refuses("mix [3, 2, 4]", "mix [H, L, E]", relational, q, k, v, rq, rq, mix[..., :4])
    refuses("rk [2, 2, 6, 6]", "rk [B, L, K, R]", relational, q, k, v, rq, rq[:, :, :6], mix)
