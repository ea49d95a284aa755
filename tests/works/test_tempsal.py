"""tempsal works: simulated viewers who look at the centre first, then at the red square, then at the green one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from regard.gaze.architectures.tempsal import TempSAL
from regard.testing.marks import works

from .squares import SIZE, cross_entropy, looked, nss, scenes
from .toys import seeded, train


class Levels(nn.Module):
    """Two levels, the finer at the picture's own size."""

    channels = (12, 16)

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 12, 5, padding=2), nn.Conv2d(12, 16, 5, 2, 2)

    def forward(self, x: Tensor) -> list[Tensor]:
        first = self.one(x).relu()
        return [first, self.two(first).relu()]


def viewers(n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pictures, and the counts of fixations in three intervals [n, 3, h, w]."""
    x, at = scenes(n, g)
    middle = torch.tensor([SIZE[0] // 2, SIZE[1] // 2]).expand(n, 2)
    places = (middle, at[:, 0], at[:, 1])
    return x, torch.stack([looked(p, g, spread=2.0 if p is middle else 1.2) for p in places], 1)


@works("tempsal")
@pytest.mark.parametrize("seed", [0, 1])
def test_each_interval_by_its_own_map_and_the_whole_no_worse_than_a_time_blind_twin(seed: int) -> None:
    """On fresh pictures every interval's map has the highest NSS on its own fixations of all intervals' maps; the mixed
    map's NSS on all fixations is at least that of a twin with equal training that never hears of time."""
    found = {}
    for timed in (True, False):
        g = torch.Generator().manual_seed(seed)
        with seeded(seed):
            model = TempSAL(Levels(), slices=3, width=12)

        def loss(model: TempSAL = model, g: torch.Generator = g, timed: bool = timed) -> Tensor:
            x, counts = viewers(16, g)
            if not timed:
                return cross_entropy(model.whole(model.encoder(x))[0][:, 0], counts.sum(1))
            each, whole = model.slices(x)
            return cross_entropy(whole, counts.sum(1)) + cross_entropy(each, counts)

        train(model, loss, steps=150, rate=5e-3)
        x, counts = viewers(200, torch.Generator().manual_seed(99))
        with torch.no_grad():
            each, whole = model.slices(x)
            if not timed:
                whole = model.whole(model.encoder(x))[0][:, 0]
        found[timed] = nss(whole.flatten(1).softmax(1), counts.sum(1))
        if timed:
            table = torch.tensor([
                [nss(each[:, i].flatten(1).softmax(1), counts[:, j]) for i in range(3)] for j in range(3)
            ])  # fmt: skip
            assert table.argmax(1).tolist() == [0, 1, 2]
    assert found[True] >= found[False] - 0.02
