"""agg2exp works: of all regions but a class's own, the organ that another class depends on holds the largest share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.subjects.agg2exp import agg2exp
from regard.testing.marks import works

from .toys import seeded, train

SIDE, CLASSES = 12, ("ground", "A", "B", "C")
BRIGHT = torch.tensor([[0.0, 0.0], [1.0, 1.0], [-1.0, 1.0], [1.0, -1.0]])  # of an organ, in two channels


def scans(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Three organs of their own brightness; whether B's voxels are called B or ground depends on whether A is there."""
    x = 0.15 * torch.randn(n, 2, SIDE, SIDE, SIDE, generator=generator)
    organs = torch.zeros(n, SIDE, SIDE, SIDE, dtype=torch.long)
    labels = torch.zeros_like(organs)
    for i in range(n):
        corners = torch.randperm(8, generator=generator)[:3].tolist()
        there = bool(torch.rand((), generator=generator) < 0.5)
        for organ, corner in enumerate(corners, start=1):
            if organ == 1 and not there:
                continue
            at = [6 * (corner >> axis & 1) + int(torch.randint(0, 3, (), generator=generator)) for axis in range(3)]
            box = tuple(slice(a, a + 4) for a in at)
            organs[i][box] = organ
            x[i][(slice(None), *box)] += BRIGHT[organ, :, None, None, None]
            labels[i][box] = organ if organ != 2 or there else 0
    return x, organs, labels


class Segmenter(nn.Module):
    """Voxels by their surroundings, and by what is the brightest of each feature anywhere."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        with seeded(seed):
            self.first, self.second = nn.Conv3d(2, 8, 3, padding=1), nn.Conv3d(8, 8, 1)
            self.far, self.mixed, self.head = nn.Linear(8, 16), nn.Conv3d(8, 16, 1), nn.Conv3d(16, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        near = F.softplus(self.second(F.softplus(self.first(x))))
        far = self.far((4 * near).flatten(2).logsumexp(2) / 4)[..., None, None, None]
        return self.head(F.softplus(self.mixed(near) + far))


@works("agg2exp")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_b_depends_on_a(seed: int) -> None:
    """The largest entry off the diagonal of classes x organs is (B, A); masses sum to the logits' difference."""
    generator = torch.Generator().manual_seed(seed)
    model = Segmenter(seed)

    def loss() -> Tensor:
        x, _, labels = scans(8, generator)
        return F.cross_entropy(model(x), labels, weight=torch.tensor([0.2, 1.0, 2.0, 1.0]))

    train(model, loss, steps=250, rate=2e-2)
    x, organs, labels = scans(16, generator)
    seen = model(x).argmax(1)
    with_a = (organs == 1).flatten(1).any(1)
    assert float((seen == labels)[organs > 0].double().mean()) > 0.95
    made = agg2exp(model, x[with_a], organs[with_a], names=CLASSES, classes=CLASSES, steps=20)
    shares = torch.tensor([row[2:6] for row in made.rows])
    off = shares[1:, 1:].clone().fill_diagonal_(0)
    assert made.column("class") == list(CLASSES)
    assert divmod(int(off.argmax()), 3) == (1, 0)
    assert max(made.column("gap")) < 0.01
