from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import DegenerateError, LayoutError
from regard.explainers.extrmask import HIDDEN, _first, _network

from .models import Linear, draw, explained, values


class Late(nn.Module):
    """The last points of the first channel."""

    def forward(self, x: Tensor) -> Tensor:
        y = x[:, 0, 6:].tanh().sum(1)
        return torch.stack([-y, y], 1)


X = 2 + 0.3 * draw(2, 3, 9)


@pytest.mark.parametrize("shape", [(2, 3, 9), (2, 3, 6, 5)])
def test_each_input_has_two_convolutions_of_its_own(shape: tuple[int, ...]) -> None:
    x, flat = draw(*shape), len(shape) == 3
    weights = _first(x, 3, torch.Generator().manual_seed(0)) + draw(2, 1, seed=3)
    made = _network(x, weights, 3)
    kind = nn.Conv1d if flat else nn.Conv2d
    for b in range(2):
        with torch.random.fork_rng(devices=[]):
            first, second = kind(3, HIDDEN, 3, padding=1).double(), kind(HIDDEN, 3, 3, padding=1).double()
        nn.utils.vector_to_parameters(weights[b], [*first.parameters(), *second.parameters()])
        torch.testing.assert_close(made[b], second(F.relu(first(x[b : b + 1])))[0].detach())


@pytest.mark.parametrize("learnt", [True, False])
def test_one_step_is_adam_on_the_objective_written_out(learnt: bool) -> None:
    """Adam's first step is its rate against the sign of the slope."""
    made = values(explained(Late(), X, "extrmask", steps=1, width=3, learnt=learnt, size=0.7, change=0.4))
    weights = _first(X, 3, torch.Generator().manual_seed(0))
    for b in range(2):
        mask = torch.full((3, 9), 0.5, dtype=torch.float64, requires_grad=True)
        x = X[b]
        other = _network(X, weights, 3)[b] if learnt else torch.zeros_like(x)
        y, y0 = Late()(x[None])[0, 1], Late()(torch.zeros_like(x)[None])[0, 1]
        told = (Late()((mask * x + (1 - mask) * other)[None])[0, 1] - y) / (y - y0)
        ((0.7 * mask + 0.4 * other.abs()).mean() + told**2).backward()
        assert mask.grad is not None
        torch.testing.assert_close(made[b], 0.5 - 0.01 * mask.grad.sign(), atol=1e-6, rtol=0)


def test_finds_the_points_that_count_and_leaves_the_others() -> None:
    made = values(explained(Late(), X, "extrmask", steps=200, width=3))
    assert made[:, 0, 6:].min() > 0.3
    assert made[:, 1:].max() < 0.05
    assert made[:, 0, :6].max() < 0.05


def test_pictures_give_the_mean_of_the_channels() -> None:
    x = 1 + 0.1 * draw(1, 3, 5, 7)
    made = values(explained(Linear(), x, "extrmask", steps=2))
    assert made.shape == (1, 5, 7)
    assert 0 <= made.min() <= made.max() <= 1


def test_refusals() -> None:
    with pytest.raises(LayoutError, match="convolutions of 4 points"):
        explained(Late(), X, "extrmask", width=4)
    with pytest.raises(DegenerateError, match="zeros scores as the input does"):
        explained(Late(), 0 * X, "extrmask")
    with pytest.raises(LayoutError, match="size = -1"):
        explained(Late(), X, "extrmask", size=-1.0)
