from __future__ import annotations

import torch

import regard as rg

from .tools import agree, drawn, refuses

reversed_attention = rg.operators.reversed_attention


def children() -> list[torch.Tensor]:
    return drawn((2, 3, 6, 4), (2, 3, 8, 4), (2, 3, 6, 5))


def test_equals_sending_child_by_child() -> None:
    def slow(q, k, v):  # type: ignore[no-untyped-def]
        out = v.new_zeros(2, 3, 8, 5)
        for i in range(6):
            share = torch.softmax((k @ q[:, :, i, :, None])[..., 0] / 2, -1)
            out = out + share[..., None] * v[:, :, i, None]
        return out

    agree(reversed_attention, slow, *children())


def test_nothing_is_lost_or_made() -> None:
    q, k, v = children()
    assert torch.allclose(reversed_attention(q, k, v).sum(2), v.sum(2), atol=1e-12)
    plain = torch.softmax(k @ q.mT / 2, -1) @ v
    assert not torch.allclose(plain.sum(2), v.sum(2), atol=0.1)


def test_refusals() -> None:
    q, k, v = children()
    refuses("v [2, 3, 8, 5] for q [2, 3, 6, 4]", "for each child", reversed_attention, q, k, drawn((2, 3, 8, 5))[0])
    refuses("v [2, 2, 6, 5]", "for each child", reversed_attention, q, k, v[:, :2])
