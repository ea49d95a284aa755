from __future__ import annotations

import torch

import regard as rg

from .tools import agree, drawn, refuses

context_broadcasting = rg.operators.context_broadcasting


def test_equals_a_uniform_attention_matrix() -> None:
    x = drawn((2, 7, 3))[0]
    uniform = torch.full((7, 7), 1 / 7, dtype=torch.float64)
    agree(context_broadcasting, lambda x: (x + uniform @ x) / 2, x)
    agree(lambda x: context_broadcasting(x, share=0.2), lambda x: 0.8 * x + 0.2 * (uniform @ x), x)


def test_refusals() -> None:
    refuses("tokens is [7, 3]", "floats [B, N, C]", context_broadcasting, torch.zeros(7, 3))
