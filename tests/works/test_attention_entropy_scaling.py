"""attention-entropy-scaling works: entropy grows with the number of tokens, and less so with the factor."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg
from regard.testing.marks import works

TRAINED = 64
COUNTS = (16, 32, TRAINED, 256, 1024)


class Features(nn.Module):
    """Attention over given q, k and v, whose logits have a standard deviation of `spread`."""

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.spread = spread

    def forward(self, qkv: Tensor) -> Tensor:
        q, k, v = qkv
        return F.scaled_dot_product_attention(q * self.spread, k, v)


def drawn(count: int) -> Tensor:
    return torch.randn(3, 1, 4, count, 32, generator=torch.Generator().manual_seed(count))


def entropies(spread: float, scaled: bool, inverse: bool = False) -> list[float]:
    """Mean entropy in bits over random features of each count. inverse: a planted fault, the factor upside down."""
    model, found = Features(spread), []
    for count in COUNTS:
        edit = rg.edits.entropy_scaling(TRAINED) if scaled else rg.edits.scale_heads(1.0)
        if inverse:
            edit = rg.edits.temperature(math.sqrt(math.log(count) / math.log(TRAINED)))
        with torch.no_grad(), rg.edit(model, edit), rg.watch(model, keep="entropy") as record:
            model(drawn(count))
        found.append(float(record.readings[0]["entropy"].mean()))
    return found


def drift(found: list[float]) -> float:
    """Mean distance from the entropy at the size of training."""
    return sum(abs(one - found[COUNTS.index(TRAINED)]) for one in found) / (len(found) - 1)


@works("attention-entropy-scaling")
@pytest.mark.parametrize(("spread", "share"), [(1.0, 0.93), (2.0, 0.7), (3.0, 0.55)])
def test_entropy_rises_with_tokens_and_the_factor_takes_part_of_the_drift_away(spread: float, share: float) -> None:
    """From 16 to 1024 tokens, trained on 64. The sharper attention is, the more of the drift goes:

    logits of spread 1, 2, 3 drift by 2.18, 1.78, 1.21 bits, and with the factor by 1.94, 1.16, .58.
    """
    plain, scaled = entropies(spread, scaled=False), entropies(spread, scaled=True)
    assert plain == sorted(plain)
    assert plain[-1] > plain[0] + 2.5
    assert drift(scaled) < share * drift(plain)
    for one, other in zip(plain, scaled, strict=True):  # at every size, not only on average
        assert abs(other - plain[COUNTS.index(TRAINED)]) <= abs(one - plain[COUNTS.index(TRAINED)])


@pytest.mark.parametrize("spread", [1.0, 2.0, 3.0])
def test_the_planted_fault_the_factor_upside_down_drifts_more(spread: float) -> None:
    assert drift(entropies(spread, scaled=False, inverse=True)) > 1.05 * drift(entropies(spread, scaled=False))


@works("attention-entropy-scaling")
def test_the_factor_is_one_bit_for_bit_where_the_counts_match() -> None:
    """At the trained count no bit of the output changes; at the next count it does."""
    model = Features(2.0)
    for count, same in ((TRAINED, True), (TRAINED + 1, False)):
        plain = model(drawn(count))
        with rg.edit(model, rg.edits.entropy_scaling(TRAINED)):
            assert torch.equal(model(drawn(count)), plain) is same
