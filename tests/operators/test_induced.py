from __future__ import annotations

import torch

import regard as rg

from .tools import agree, dense, drawn, qkv, refuses

induced = rg.operators.induced


def test_equals_two_attentions() -> None:
    points = drawn((2, 3, 2, 4), seed=1)[0]

    def slow(q, k, v, points):  # type: ignore[no-untyped-def]
        h = dense(points, k, v)
        return dense(q, h, h)

    agree(induced, slow, *qkv(q=5, k=9, e=4), points)


def test_permuting_the_set_permutes_the_output() -> None:
    (q, k, v), points = qkv(e=4), drawn((2, 3, 2, 4), seed=1)[0]
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    moved = induced(*(x[:, :, order] for x in (q, k, v)), points)
    assert torch.allclose(moved, induced(q, k, v, points)[:, :, order], atol=1e-12)


def test_refusals() -> None:
    q, k, v = qkv()
    refuses("v [2, 3, 7, 5] for q [2, 3, 7, 4]", "v as wide as q", induced, q, k, v, q)
    refuses("q [2, 3, 7, 3]", "k [B, H, K, D]", induced, q, k, v, q[..., :3])
