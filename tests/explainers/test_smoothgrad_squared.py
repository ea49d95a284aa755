from __future__ import annotations

import torch

from .models import Net, draw, explained, values
from .test_smoothgrad import samples


def test_is_the_mean_square_of_noisy_gradients() -> None:
    model, x = Net(bias=True), draw(2, 3, 9, 7)
    got = explained(model, x, "smoothgrad_squared", samples=7, noise=0.3, seed=5)
    torch.testing.assert_close(values(got), samples(model, x, 7, 0.3, 5).square().mean(0).sum(1))
