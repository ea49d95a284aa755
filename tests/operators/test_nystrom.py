from __future__ import annotations

import torch
from torch import Tensor

import regard as rg

from .tools import agree, dense, qkv, refuses

nystrom = rg.operators.nystrom


def slow(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    few_q, few_k = (torch.stack([part.mean(2) for part in x.split(3, 2)], 2) for x in (q, k))
    soft = lambda a, b: torch.softmax(a @ b.mT / 2, -1)  # noqa: E731
    return soft(q, few_k) @ torch.linalg.pinv(soft(few_q, few_k)) @ soft(few_q, k) @ v


def test_equals_the_three_matrices() -> None:
    agree(lambda *x: nystrom(*x, landmarks=3, inverse="exact"), slow, *qkv(q=9, k=9), tol=1e-7)


def test_every_token_a_landmark_is_dense_attention() -> None:
    q, k, v = qkv()
    assert torch.allclose(nystrom(q, k, v, landmarks=7, inverse="exact"), dense(q, k, v), atol=1e-9)
    assert not torch.allclose(nystrom(q, k, v, landmarks=2), dense(q, k, v), atol=1e-2)


def test_the_iteration_converges_to_the_inverse() -> None:
    q, k, v = qkv(q=9, k=9)
    exact = nystrom(q, k, v, landmarks=3, inverse="exact")
    errors = [
        float((nystrom(q, k, v, landmarks=3, inverse="iterative", steps=s) - exact).abs().max()) for s in (2, 6, 20)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-8


def test_refusals() -> None:
    refuses("landmarks=9", "1 .. 7", nystrom, *qkv(), landmarks=9)
    refuses("inverse='qr'", "exact or iterative", nystrom, *qkv(), landmarks=3, inverse="qr")
