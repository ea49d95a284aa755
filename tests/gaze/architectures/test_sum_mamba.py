"""SUM: the token begins at zero effect and then has one, shapes at the published size, a dot is learnt."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from regard.gaze.architectures.sum_mamba import SUM, ScanBlock

from .tools import counted, dots, learns, seeded


def small() -> SUM:
    return SUM(width=8, depths=(1, 1), states=2)


def test_shape_at_the_published_size() -> None:
    weights, shape = counted(SUM, 1, 3, 64, 96)
    assert shape == [1, 64, 96]
    assert weights == 44_530_692  # ours: twice VMamba-T's 22 million, and a little


def test_neutral_modulation_is_the_identity_and_another_is_not(generator: torch.Generator) -> None:
    model = seeded(small).eval()
    x = torch.randn(2, 3, 16, 24, generator=generator)
    kinds = torch.tensor([0, 3])
    assert torch.equal(model(x, kinds), model(x))
    model.told[0][-1].weight.data.add_(0.05)
    assert not torch.allclose(model(x, kinds), model(x))
    assert torch.allclose(model(x, kinds)[1], model(x[1:], kinds[1:])[0], atol=1e-6)


def test_what_the_five_numbers_do(generator: torch.Generator) -> None:
    block = seeded(lambda: ScanBlock(4, states=2)).double().eval()
    x = torch.randn(1, 3, 5, 4, generator=generator, dtype=torch.float64)
    silent = block(x, torch.tensor([[0.0, 0, 0, 0, -1.0]]).double())
    assert torch.equal(silent, x)
    shut = block(x, torch.tensor([[0.0, 0, -1.0, 0, 0]]).double())
    assert torch.allclose(shut, x, atol=1e-12)  # nothing of the scans is left
    assert not torch.allclose(block(x), x)


class Told(nn.Module):
    def __init__(self, model: SUM) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x, torch.arange(len(x)) % 4)


def test_a_dot_is_learnt() -> None:
    x, at = dots((16, 24), n=4)
    assert learns(seeded(lambda: Told(small())), x, at, steps=60, rate=1e-2) > 4
