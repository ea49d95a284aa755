from __future__ import annotations

import torch

from .models import Linear, Net, draw, explained, values
from .test_smoothgrad import samples


def test_is_smoothgrad_squared_without_the_square_of_smoothgrad() -> None:
    model, x = Net(bias=True), draw(2, 3, 9, 7)
    how = {"samples": 7, "noise": 0.3, "seed": 5}
    variance = values(explained(model, x, "vargrad", **how))
    mean = samples(model, x, 7, 0.3, 5).mean(0)
    squared = values(explained(model, x, "smoothgrad_squared", **how))
    torch.testing.assert_close(variance, squared - mean.square().sum(1))


def test_a_linear_model_has_none() -> None:
    got = explained(Linear().double(), draw(1, 3, 5, 7), "vargrad", samples=5)
    assert abs(got.values).max() < 1e-25
