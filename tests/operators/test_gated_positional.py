from __future__ import annotations

import torch

import regard as rg

from .tools import agree, dense, drawn, qkv, refuses

gated_positional = rg.operators.gated_positional


def test_equals_the_mixture() -> None:
    gate = torch.tensor([0.0, 0.3, 1.0]).double()
    agree(
        lambda q, k, v, p: gated_positional(q, k, v, p, gate=gate),
        lambda q, k, v, p: (1 - gate.view(3, 1, 1)) * dense(q, k, v) + gate.view(3, 1, 1) * (torch.softmax(p, -1) @ v),
        *qkv(q=5, k=9), drawn((3, 5, 9), seed=1)[0],
    )  # fmt: skip


def test_ends_of_the_gate() -> None:
    (q, k, v), position = qkv(), drawn((3, 7, 7), seed=1)[0]
    assert torch.allclose(gated_positional(q, k, v, position, gate=0.0), dense(q, k, v), atol=1e-12)
    assert torch.equal(gated_positional(q, k, v, position, gate=1.0), gated_positional(9 * q, k, v, position, gate=1.0))


def test_refusals() -> None:
    (q, k, v), position = qkv(), drawn((3, 7, 7), seed=1)[0]
    refuses("a gate from 2 to 2", "0 .. 1", gated_positional, q, k, v, position, gate=2.0)
    refuses("position [3, 7, 6]", "[H, Q, K]", gated_positional, q, k, v, position[..., :6])
