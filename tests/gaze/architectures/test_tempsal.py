"""TempSAL: five slices, a mixer that can be silenced, shapes at the published encoder, a dot is learnt."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from regard.gaze.architectures.tempsal import TempSAL

from .tools import counted, dots, learns, seeded


class Small(nn.Module):
    channels = (6, 8)

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 6, 3, 2, 1), nn.Conv2d(6, 8, 3, 2, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        first = self.one(x).relu()
        return [first, self.two(first).relu()]


def test_shape_with_the_published_encoder() -> None:
    weights, shape = counted(TempSAL, 1, 3, 256, 256)
    assert shape == [1, 64, 64]
    assert weights > 80_000_000  # PNASNet-5-large alone


def test_without_the_mixer_it_is_time_blind() -> None:
    model = seeded(lambda: TempSAL(Small(), slices=3, width=8)).double().eval()
    x = torch.randn(2, 3, 16, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    each, whole = model.slices(x)
    assert each.shape == (2, 3, 8, 12)
    assert torch.equal(model(x), whole)
    model.time.last.bias.data += 1  # a slice that changes is felt by the whole
    assert not torch.allclose(model(x), whole)
    model.mixer[-1].weight.data.zero_()
    model.mixer[-1].bias.data.zero_()
    assert torch.allclose(model(x), model.whole(model.encoder(x))[0][:, 0], atol=1e-12)


def test_a_dot_is_learnt() -> None:
    x, at = dots((16, 24), n=4)
    assert learns(seeded(lambda: TempSAL(Small(), slices=3, width=8)), x, at, steps=60, rate=1e-2) > 4
