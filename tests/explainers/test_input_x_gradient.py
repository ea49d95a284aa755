from __future__ import annotations

import pytest
import torch

from .models import Linear, Net, draw, explained, slope, values


def test_is_input_times_gradient() -> None:
    model, x = Net(bias=True), draw(2, 3, 9, 7)
    torch.testing.assert_close(values(explained(model, x, "input_x_gradient")), (x * slope(model, x)).sum(1))


def test_sums_to_the_score_without_biases_and_tells_what_they_add() -> None:
    x = draw(2, 3, 9, 7)
    assert explained(Net(bias=False), x, "input_x_gradient").gap < 1e-12
    linear = Linear((3, 9, 7)).double()
    y = linear(x)[:, 1].detach()
    worst = float((linear.bias[1].detach() / y).abs().max())
    assert explained(linear, x, "input_x_gradient").gap == pytest.approx(worst)
