from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg

from .tools import agree, qkv, refuses

lightning = rg.operators.lightning
DECAY = (1.0, 0.9, 0.4)


def quadratic(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    apart = (torch.arange(q.shape[2])[:, None] - torch.arange(q.shape[2])).double()
    kept = torch.tensor(DECAY, dtype=torch.float64).view(-1, 1, 1) ** apart.clamp(min=0) * (apart >= 0)
    return (q @ k.mT * kept) @ v


@pytest.mark.parametrize("chunk", [1, 2, 5, 7, 64])
def test_tiles_of_any_size_are_the_quadratic_form(chunk: int) -> None:
    agree(lambda *x: lightning(*x, decay=DECAY, chunk=chunk), quadratic, *qkv())


def test_default_decays_are_the_released_slopes() -> None:
    q, k, v = qkv(h=8)
    slopes = tuple(torch.exp(-torch.tensor([2.0**-i for i in range(1, 9)]).double()).tolist())
    assert torch.allclose(lightning(q, k, v), lightning(q, k, v, decay=slopes), atol=1e-12)


def test_refusals() -> None:
    refuses("decays [0.5]", "one for each head", lightning, *qkv(), decay=(0.5,))
    refuses("3 queries and 5 keys", "self-attention", lightning, *qkv(q=3, k=5))
