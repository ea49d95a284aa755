from __future__ import annotations

import torch

import regard as rg

from .tools import agree, dense, drawn, qkv, refuses

linformer = rg.operators.linformer


def test_equals_attention_over_mixtures() -> None:
    few, others = drawn((2, 7), (3, 2, 7), seed=1)
    agree(
        lambda q, k, v, e, f: linformer(q, k, v, e, values=f),
        lambda q, k, v, e, f: torch.softmax(q @ (e @ k).mT / 2, -1) @ (f @ v),
        *qkv(), few, others,
    )  # fmt: skip


def test_identities_are_dense_attention_and_one_projection_serves_both() -> None:
    q, k, v = qkv()
    assert torch.allclose(linformer(q, k, v, torch.eye(7)), dense(q, k, v), atol=1e-12)
    mix = drawn((2, 7))[0]
    assert torch.equal(linformer(q, k, v, mix), linformer(q, k, v, mix, values=mix))


def test_refusals() -> None:
    refuses("projection is [2, 6] for 7 keys", "[M, 7]", linformer, *qkv(), torch.zeros(2, 6))
    refuses("values is [3, 7] for 7 keys", "[M, 7]", linformer, *qkv(), torch.zeros(2, 7), values=torch.zeros(3, 7))
