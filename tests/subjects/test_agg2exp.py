from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from regard.errors import DegenerateError, LayoutError
from regard.subjects.agg2exp import agg2exp

from ..explainers.models import draw

X = draw(2, 2, 3, 4, 5)
REGIONS = torch.randint(3, (2, 3, 4, 5), generator=torch.Generator().manual_seed(0))


class Mixed(nn.Module):
    """Two classes: a voxel's own value, squared, and the product with the mean of the whole second channel."""

    def forward(self, x: Tensor) -> Tensor:
        far = x[:, 1].mean((1, 2, 3), keepdim=True)
        return torch.stack([x[:, 0] ** 2 + x[:, 0], x[:, 1] * far - 0.1], 1)


def slow(x: Tensor, regions: Tensor, k: int, sign: float) -> Tensor:
    """Integrated gradients by a fine midpoint rule, voxel by voxel into regions."""
    model = Mixed()
    mask = model(x).argmax(1) == k
    total = torch.zeros_like(x)
    for i in range(400):
        leaf = (x * (i + 0.5) / 400).requires_grad_()
        (slope,) = torch.autograd.grad((model(leaf)[:, k] * mask).sum(), leaf)
        total += slope / 400
    phi = (x * total).sum(1)[0]
    phi = phi.abs() if sign == 0 else (sign * phi).clamp_min(0)
    shares = torch.stack([phi[regions == j].sum() for j in range(3)])
    return shares / shares.sum()


@pytest.mark.parametrize(("part", "sign"), [("absolute", 0.0), ("positive", 1.0), ("negative", -1.0)])
def test_shares_are_those_of_integrated_gradients_by_hand(part: str, sign: float) -> None:
    made = agg2exp(Mixed(), X, REGIONS, steps=4, part=part)
    assert made.columns == ("class", "scans", "region 0", "region 1", "region 2", "gap")
    for k, row in enumerate(made.rows):
        wanted = torch.stack([slow(X[i : i + 1], REGIONS[i], k, sign) for i in range(2)]).mean(0)
        torch.testing.assert_close(torch.tensor(row[2:5], dtype=torch.float64), wanted, atol=1e-5, rtol=0)
        assert sum(row[2:5]) == pytest.approx(1)
        assert row[5] < 1e-9  # polynomials of degree 2: exact with Gauss-Legendre points
        assert row[1] == 2


def test_the_voxels_of_a_class_are_held_fixed() -> None:
    """With a mask that moved with the path, half way to black none would be over the threshold of class 1."""

    class Step(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([1 - x, x], 1)

    x = torch.full((1, 1, 1, 1, 2), 0.8, dtype=torch.float64)
    made = agg2exp(Step(), x, torch.tensor([[[[0, 1]]]]), steps=2)
    assert made.rows[0] == ("class 1", 1, pytest.approx(0.5), pytest.approx(0.5), pytest.approx(0))


def test_refusals() -> None:
    with pytest.raises(LayoutError, match=r"regions \[3, 4, 5\]"):
        agg2exp(Mixed(), X, REGIONS[0])
    with pytest.raises(LayoutError, match="1 names for 3 regions"):
        agg2exp(Mixed(), X, REGIONS, names=("all",))
    with pytest.raises(LayoutError, match="not a logit a voxel"):
        agg2exp(nn.Sequential(nn.Flatten(), nn.Identity()), X, REGIONS)

    class Own(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([x[:, 0], x[:, 0] - 1], 1)

    with pytest.raises(DegenerateError, match="no negative attribution"):
        agg2exp(Own(), X.abs(), REGIONS, part="negative")
