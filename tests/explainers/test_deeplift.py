from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from .models import Linear, Net, draw, explained, slope, values


@pytest.mark.parametrize("baseline", ["black", "white", "mean", "blur"])
@pytest.mark.parametrize("act", [nn.ReLU, nn.GELU, nn.Sigmoid, nn.SiLU, nn.ReLU6])
def test_completeness_with_max_pooling_and_in_place_functions(act: type[nn.Module], baseline: str) -> None:
    got = explained(Net(bias=True, norm=True, act=act), draw(2, 3, 9, 8), "deeplift", baseline=baseline)
    assert got.gap < 1e-9


def test_of_a_bias_free_network_it_is_input_times_gradient() -> None:
    model, x = Net(bias=False), draw(2, 3, 9, 7)
    got = values(explained(model, x, "deeplift"))
    torch.testing.assert_close(got, (x * slope(model, x)).sum(1), rtol=1e-12, atol=1e-12)


def test_of_a_linear_model_it_is_weight_times_difference() -> None:
    model, x = Linear().double(), draw(2, 3, 5, 7)
    torch.testing.assert_close(values(explained(model, x, "deeplift")), (x * model.weight[1]).sum(1).detach())


class Reused(nn.Module):
    """One activation module used twice, and one function written in place: what module hooks get wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.act = Linear((6,), 4).double(), nn.Tanh()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        once = self.act(self.first(x.flatten(1)))
        return torch.relu_(self.act(1.5 * once) - 0.1)


def test_the_rescale_rule_by_hand_through_reused_modules() -> None:
    model, x = Reused(), draw(2, 1, 2, 3)
    w, c = model.first.weight.detach(), model.first.bias.detach()

    def forth(x: torch.Tensor) -> list[torch.Tensor]:
        z = x.flatten(1) @ w.T + c
        a = z.tanh()
        b = (1.5 * a).tanh()
        return [z, a, b, F.relu(b - 0.1)]

    at_x, at_b = forth(x), forth(torch.zeros_like(x))
    rise = [p - q for p, q in zip(at_x, at_b, strict=True)]
    m = (rise[3] / rise[2]) * (rise[2] / (1.5 * rise[1])) * 1.5 * (rise[1] / rise[0])
    wanted = (m[:, 1:2] * w[1]).view_as(x) * x
    made = explained(model, x, "deeplift")
    torch.testing.assert_close(values(made), wanted.sum(1))
    assert made.gap < 1e-12


def test_equal_inputs_fall_back_to_the_gradient() -> None:
    """A picture that is its own baseline: multipliers are derivatives, attributions are zero, nothing is NaN."""
    x = torch.zeros(1, 3, 9, 7, dtype=torch.float64)
    x[0, 0, 0, 0] = 1.0
    made: Any = explained(Net(bias=True, act=nn.GELU), x, "deeplift")
    assert not torch.isnan(values(made)).any()
    assert made.gap < 1e-9
