from __future__ import annotations

import torch

import regard as rg

from .tools import agree, dense, qkv, refuses

differential = rg.operators.differential


def test_equals_a_difference_of_matrices() -> None:
    share = torch.tensor([0.2, 0.8, 1.5]).double()

    def slow(q, k, v):  # type: ignore[no-untyped-def]
        first, second = (torch.softmax(q[..., s] @ k[..., s].mT / 2**0.5, -1) for s in (slice(2), slice(2, 4)))
        return (first - share.view(3, 1, 1) * second) @ v

    agree(lambda *x: differential(*x, share=share), slow, *qkv(q=5, k=9))


def test_a_share_of_zero_is_plain_attention_of_the_first_half() -> None:
    q, k, v = qkv()
    assert torch.allclose(differential(q, k, v, share=0.0), dense(q[..., :2], k[..., :2], v), atol=1e-12)
    noise = differential(torch.cat([q, q], -1), torch.cat([k, k], -1), v, share=1.0)
    assert torch.allclose(noise, torch.zeros_like(v), atol=1e-12)  # what both maps hold cancels


def test_refusals() -> None:
    refuses("q is [2, 3, 7, 3]", "an even width", differential, *qkv(d=3))
