"""attention-entropy-scaling works: entropy grows with the number of tokens, and far less with the factor."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg
from regard.testing.marks import works

TRAINED = 64
COUNTS = (16, 32, TRAINED, 256, 1024)
HEADS, DIM = 4, 32


class Features(nn.Module):
    """Attention over random features, with logits of a standard deviation of `spread`."""

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.spread = spread

    def forward(self, qkv: Tensor) -> Tensor:
        q, k, v = qkv.unbind(0)
        return F.scaled_dot_product_attention(q * self.spread, k, v)


def entropies(model: nn.Module, edit: object) -> list[float]:
    """Mean entropy in bits over random features of each size."""
    found = []
    for count in COUNTS:
        qkv = torch.randn(3, 1, HEADS, count, DIM, generator=torch.Generator().manual_seed(count))
        with torch.no_grad(), rg.edit(model, edit), rg.watch(model, keep="entropy") as record:
            model(qkv)
        found.append(float(record.readings[0]["entropy"].mean()))
    return found


def drift(found: list[float]) -> float:
    """Mean distance from the entropy at the size of training."""
    at = found[COUNTS.index(TRAINED)]
    return sum(abs(one - at) for one in found) / (len(found) - 1)


@pytest.mark.parametrize("spread", [1.0, 2.0, 3.0])
def test_x(spread: float) -> None:
    model = Features(spread)
    plain = entropies(model, rg.edits.temperature(1.0))
    scaled = entropies(model, rg.edits.entropy_scaling(TRAINED))
    print(spread, plain, scaled, drift(plain), drift(scaled))
