"""attention-iou works: its bounds, and a bias that is planted is seen, the more the stronger it is."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import spearmanr
from torch import nn
from torch.nn import functional as F

import regard as rg
from regard.metrics.attention_iou import overlap
from regard.testing.marks import works

SIDE = 16


def pictures(n: int, correlation: float, g: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Waterbirds of shapes: a faint cross or bar on the left tells the label; the right's brightness goes with it in a
    share of the pictures."""
    label = torch.randint(2, (n,), generator=g)
    background = torch.where(torch.rand(n, generator=g) < correlation, label, torch.randint(2, (n,), generator=g))
    x = 0.5 * torch.randn(n, 3, SIDE, SIDE, generator=g)
    x[:, 0, 6:10, 2:6] += (2.0 * label.float() - 1)[:, None, None] * 0.7
    x[:, 1, :, 8:] += (2.0 * background.float() - 1)[:, None, None] * 0.7
    return x, label


class Net(nn.Module):
    """A convolution, average pooling and a linear head: CAM's own kind."""

    def __init__(self, g: torch.Generator) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(1000, (1,), generator=g)))
            self.features = nn.Sequential(nn.Conv2d(3, 12, 4, 2, 1), nn.ReLU())
            self.head = nn.Linear(12, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(x).mean((2, 3)))


def bias(correlation: float, seed: int) -> float:
    """Mean score of Grad-CAM on the background, of a network trained where the two go together so often."""
    g = torch.Generator().manual_seed(seed)
    net = Net(g)
    step = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(60):
        x, label = pictures(128, correlation, g)
        step.zero_grad()
        F.cross_entropy(net(x), label).backward()
        step.step()
    net.eval()
    x, label = pictures(64, 0.0, torch.Generator().manual_seed(99))
    right = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    right[:, 8:] = True
    found = []
    for one in x[label == 1][:12]:
        heat = rg.explain(net, one[None], method="gradcam", target=1)
        found.append(rg.score(heat, net, one[None], metric="attention_iou", region=right, orders=1).value)
    return sum(found) / len(found)


@works("attention-iou")
def test_bounds_and_a_planted_bias() -> None:
    """Equal maps 1, disjoint 0; over 3 seeds x 5 strengths of the planted correlation, attention on the background
    rises with it (rank correlation above 0.5; the row asks for a positive one)."""
    one = torch.rand(1, 7, 7, generator=torch.Generator().manual_seed(0))
    left = one.clone()
    left[:, :, 3:] = 0
    assert overlap(one, one)[0] == pytest.approx(1)
    assert overlap(left, one - left)[0] == 0
    strengths = [0.0, 0.3, 0.6, 0.9, 1.0]
    pairs = [(s, bias(s, seed)) for seed in range(3) for s in strengths]
    assert spearmanr(*zip(*pairs, strict=True)).statistic > 0.5
