from __future__ import annotations

import pytest
import torch
from torch import nn

from regard.errors import CallError, DegenerateError

from .models import Linear, Net, draw, explained, slope, values


def test_of_a_linear_model_it_is_the_absolute_weight() -> None:
    model, x = Linear().double(), draw(2, 3, 5, 7)
    got = values(explained(model, x, "gradient", 2))
    assert torch.equal(got, model.weight[2].abs().amax(0).expand(2, 5, 7))


@pytest.mark.parametrize("channels", ["max_abs", "sum"])
def test_is_autograd_picture_by_picture(channels: str) -> None:
    model, x = Net(bias=True), draw(3, 3, 9, 7)
    slow = slope(model, x)
    made = explained(model, x, "gradient", channels=channels)
    torch.testing.assert_close(values(made), slow.sum(1) if channels == "sum" else slow.abs().amax(1))
    assert (made.forwards, made.target, made.grid.h, made.grid.w) == (3, "class 1", 9, 7)
    assert all(p.requires_grad and p.grad is None for p in model.parameters())


class Spoilt(Net):
    """A network whose score cannot be explained by its gradient, in a way of choice."""

    def __init__(self, how: str) -> None:
        super().__init__(bias=True)
        self.how, self.last = how, nn.Hardtanh(-1e-3, 1e-3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.how == "cut":
            return super().forward(self.act(self.first(x)).detach()[:, :3])
        y = super().forward(x)
        if self.how == "clipped":
            return self.last(y) + 0 * y.detach()
        return y * torch.nan if self.how == "nan" else y.detach() + (y - y.detach()).abs().sqrt()


@pytest.mark.parametrize(
    ("how", "error", "told"),
    [
        ("cut", CallError, r"its graph ends inside of the model \(after 'act \(ReLU\)'\)"),
        ("clipped", DegenerateError, r"gradient of class 1 is zero at every pixel: it ends at 'last \(Hardtanh\)'"),
        ("nan", DegenerateError, "score of class 1 is NaN or infinite for 2 of 2 pictures"),
        ("infinite", DegenerateError, "the gradient of class 1 is NaN or infinite"),
    ],
)
def test_refusals_name_the_cause(how: str, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        explained(Spoilt(how), draw(2, 3, 9, 7).abs() + 1, "gradient")
