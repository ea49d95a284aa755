from __future__ import annotations

import torch

import regard as rg

from .tools import agree, drawn, qkv

cosine = rg.operators.cosine


def test_equals_softmax_of_angles() -> None:
    tau, bias = torch.tensor([0.1, 1.0, 3.0]).double(), drawn((1, 3, 5, 9), seed=1)[0]

    def slow(q, k, v, bias):  # type: ignore[no-untyped-def]
        angle = torch.nn.functional.cosine_similarity(q[:, :, :, None], k[:, :, None], dim=-1)
        return torch.softmax(angle / tau.view(3, 1, 1) + bias, -1) @ v

    agree(lambda q, k, v, b: cosine(q, k, v, tau=tau, bias=b), slow, *qkv(q=5, k=9), bias)


def test_lengths_do_not_matter() -> None:
    q, k, v = qkv()
    assert torch.allclose(cosine(7 * q, k, v), cosine(q, k / 3, v), atol=1e-12)
    assert not torch.allclose(cosine(q, k, v), cosine(q, k, v, tau=1.0), atol=0.1)
