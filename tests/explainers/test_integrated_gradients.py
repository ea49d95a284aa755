from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import LayoutError, MethodError

from .models import Linear, Net, Quadratic, draw, explained, slope, values


def test_of_a_linear_model_it_is_weight_times_difference() -> None:
    model, x = Linear().double(), draw(2, 3, 5, 7)
    got = explained(model, x, "integrated_gradients", steps=1, baseline="white")
    torch.testing.assert_close(values(got), ((x - 1) * model.weight[1]).sum(1).detach())
    assert got.gap < 1e-12


def test_one_step_is_exact_for_a_quadratic_score() -> None:
    model, x = Quadratic().double(), draw(2, 3, 5, 7)
    got = explained(model, x, "integrated_gradients", steps=1, baseline="mean")
    start = x.mean((2, 3), keepdim=True).expand_as(x)
    torch.testing.assert_close(values(got), ((x - start) * slope(model, (x + start) / 2)).sum(1))
    assert got.gap < 1e-10


def test_equals_a_fine_riemann_sum_of_a_network() -> None:
    model, x = Net(bias=True, act=torch.nn.Tanh), draw(1, 3, 9, 7)
    got = explained(model, x, "integrated_gradients", steps=400)
    slow = sum(slope(model, (k + 0.5) / 400 * x) for k in range(400)) / 400 * x
    torch.testing.assert_close(values(got), slow.sum(1), rtol=2e-3, atol=1e-3)
    assert got.gap < 2e-3
    assert got.forwards == 402


@pytest.mark.parametrize("baseline", ["black", "white", "mean", "blur", "uniform"])
def test_completeness_for_every_baseline(baseline: str) -> None:
    model, x = Net(bias=True), draw(2, 3, 9, 7)
    got = explained(model, x, "integrated_gradients", baseline=baseline, steps=100, seed=3)
    assert got.gap < 0.03
    assert got.settings["baseline"] == baseline


def test_black_is_what_the_model_takes_for_black() -> None:
    model = rg.model("random:resnet18")
    black = (0 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    x = black.view(1, 3, 1, 1).expand(1, 3, 64, 64).clone()
    x[..., 20:40, 20:40] += 1.0
    got = values(explained(model, x, "integrated_gradients", 3, steps=2))
    got[:, 20:40, 20:40] = 0.0
    assert float(got.abs().max()) < 1e-9, "where the picture is black, nothing is attributed"


def test_refusals() -> None:
    model, x = Linear().double(), draw(1, 3, 5, 7)
    with pytest.raises(LayoutError, match="a path of 0 steps"):
        explained(model, x, "integrated_gradients", steps=0)
    with pytest.raises(MethodError, match="no option of integrated_gradients named 'step'"):
        explained(model, x, "integrated_gradients", step=3)
