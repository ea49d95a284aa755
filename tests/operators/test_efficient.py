from __future__ import annotations

import torch

import regard as rg

from .tools import agree, qkv


def test_equals_the_quadratic_form_whose_rows_sum_to_one() -> None:
    q, k, v = qkv(q=5, k=8)
    agree(rg.operators.efficient, lambda q, k, v: (torch.softmax(q, 3) @ torch.softmax(k, 2).mT) @ v, q, k, v)
    assert torch.allclose(rg.operators.efficient(q, k, torch.ones_like(v)), torch.ones(1).double(), atol=1e-12)


def test_the_planted_fault_keys_normalised_over_channels() -> None:
    q, k, v = qkv()
    assert not torch.allclose(
        rg.operators.efficient(q, k, v), torch.softmax(q, 3) @ torch.softmax(k, 3).mT @ v, atol=0.1
    )
