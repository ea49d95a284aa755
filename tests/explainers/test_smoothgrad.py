from __future__ import annotations

import pytest
import torch

from regard.errors import LayoutError
from regard.explainers._pixels import noise

from .models import Linear, Net, Quadratic, draw, explained, slope, values


def samples(model: torch.nn.Module, x: torch.Tensor, count: int, level: float, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([slope(model, x + noise(x, level, generator)) for _ in range(count)])


@pytest.mark.parametrize("channels", ["max_abs", "sum"])
def test_is_the_mean_of_noisy_gradients_with_its_standard_error(channels: str) -> None:
    model, x = Net(bias=True), draw(2, 3, 9, 7)
    got = explained(model, x, "smoothgrad", samples=7, noise=0.3, seed=5, channels=channels)
    slow = samples(model, x, 7, 0.3, 5)
    mean, error = slow.mean(0), slow.std(0) / 7**0.5
    if channels == "sum":
        wanted, se = mean.sum(1), error.square().sum(1).sqrt()
    else:
        wanted, at = mean.abs().max(1)
        se = error.gather(1, at[:, None])[:, 0]
    torch.testing.assert_close(values(got), wanted)
    torch.testing.assert_close(torch.from_numpy(got.se), se)
    assert (got.seed, got.forwards) == (5, 16)


def test_tends_to_the_gradient_of_a_quadratic_score() -> None:
    """Its gradient is linear in the noise, which is zero on average: within 5 standard errors everywhere."""
    model, x = Quadratic((3, 3, 3)).double(), draw(1, 3, 3, 3)
    got = explained(model, x, "smoothgrad", samples=400, channels="sum", noise=0.2)
    exact = slope(model, x).sum(1)
    away = (values(got) - exact).abs().max()
    assert away < 0.3 * exact.abs().max()
    assert away > 0


def test_samples_differ() -> None:
    """The pitfall: a generator seeded for each sample makes all of them the same, and the error zero."""
    got = explained(Quadratic().double(), draw(1, 3, 5, 7), "smoothgrad", samples=4)
    assert got.se.min() > 0
    other = explained(Quadratic().double(), draw(1, 3, 5, 7), "smoothgrad", samples=4, seed=1)
    assert abs(got.values - other.values).max() > 0


def test_refusals() -> None:
    with pytest.raises(LayoutError, match="1 samples"):
        explained(Linear().double(), draw(1, 3, 5, 7), "smoothgrad", samples=1)
