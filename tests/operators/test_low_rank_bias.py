from __future__ import annotations

import torch

import regard as rg

from .tools import agree, dense, drawn, qkv, refuses

low_rank_bias = rg.operators.low_rank_bias


def test_equals_the_dense_bias() -> None:
    agree(
        low_rank_bias, lambda q, k, v, a, b: torch.softmax(q @ k.mT / 2 + a @ b.mT, -1) @ v,
        *qkv(q=5, k=9), *drawn((3, 5, 2), (3, 9, 2), seed=1),
    )  # fmt: skip


def test_factors_of_each_picture_and_no_bias() -> None:
    q, k, v = qkv()
    left, right = drawn((2, 3, 7, 2), (2, 3, 7, 2), seed=1)
    whole = low_rank_bias(q, k, v, left, right)
    assert torch.allclose(whole[1:], low_rank_bias(q[1:], k[1:], v[1:], left[1], right[1]), atol=1e-12)
    assert torch.allclose(low_rank_bias(q, k, v, 0 * left, right), dense(q, k, v), atol=1e-12)
    assert not torch.allclose(whole, dense(q, k, v), atol=0.1)


def test_refusals() -> None:
    q, k, v = qkv()
    left, right = drawn((3, 7, 2), (3, 7, 3))
    refuses("left [3, 7, 2]", "[H, N, R]", low_rank_bias, q, k, v, left, right)
    refuses("right [3, 6, 3]", "[H, N, R]", low_rank_bias, q, k, v, right, right[:, 1:])
