from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regard.errors import CallError, DegenerateError, LayoutError
from regard.explainers._masks import Share, check_weights, enlarged, learn, roughness, small_grid
from regard.mechanisms import ALL
from regard.subjects.forward import Subject
from regard.subjects.scorer import Scorer

from .models import Linear, draw, explained


def scorer(x: torch.Tensor, goal: int | None = None) -> Scorer:
    return Scorer(Subject(Linear(tuple(x.shape[1:])), x, ALL), goal)


def test_the_picture_has_share_one_and_its_baseline_none() -> None:
    x = draw(2, 3, 5, 7)
    score = scorer(x)
    start = torch.zeros_like(x)
    if bool((score.value <= score(start)).any()):
        x = -x
        score = scorer(x)
    worse = score.value - score(start)
    assert bool((worse > 0).all())
    share = Share(score, start)
    torch.testing.assert_close(share(x), torch.ones(2, dtype=x.dtype))
    torch.testing.assert_close(share(torch.cat([x / 2, start])).detach()[:2], torch.full((2,), 0.5, dtype=x.dtype))
    with pytest.raises(DegenerateError, match="another baseline"):
        Share(score, 2 * x)


def test_adam_reaches_the_minimum_of_each_picture_by_itself() -> None:
    x = draw(2, 3, 5, 7)
    goal = torch.tensor([[[0.2, 0.9]], [[1.5, -1.0]]], dtype=x.dtype)
    made = learn(
        torch.full_like(goal, 0.5), lambda m, _: (m - goal).square().sum((1, 2)), scorer(x), steps=200, rate=0.1
    )
    torch.testing.assert_close(made, goal.clamp(0, 1), atol=1e-3, rtol=0)
    with pytest.raises(LayoutError, match="0 steps"):
        learn(goal, lambda m, _: m.sum((1, 2)), scorer(x), steps=0, rate=0.1)


def test_roughness_and_sizes() -> None:
    mask = draw(2, 3, 4)
    slow = sum((mask[:, i + 1, j] - mask[:, i, j]).abs() ** 3 for i in range(2) for j in range(4)) / 8
    slow = slow + sum((mask[:, i, j + 1] - mask[:, i, j]).abs() ** 3 for i in range(3) for j in range(3)) / 9
    torch.testing.assert_close(roughness(mask, 3.0), slow)
    assert small_grid(torch.zeros(1, 3, 20, 40), 5) == (5, 10)
    assert enlarged(mask, torch.zeros(1, 3, 9, 8)).shape == (2, 1, 9, 8)
    with pytest.raises(LayoutError, match="a mask of 30"):
        small_grid(torch.zeros(1, 3, 20, 40), 30)
    with pytest.raises(LayoutError, match="area = -1"):
        check_weights([("area", -1.0)])


OPTIONS: dict[str, dict[str, Any]] = {
    "meaningful_perturbation": {"side": 4, "baseline": "black"},
    "extremal_perturbation": {"side": 4, "baseline": "black"},
    "fido": {"side": 4, "infill": "black"},
    "extrmask": {},
}
X = torch.linspace(1, 2, 192, dtype=torch.float64).view(1, 3, 8, 8)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_score_off_the_graph_is_refused_by_all_that_learn(name: str) -> None:
    """Else the mask would be learnt from the cost of its area alone, and be blank without a word."""

    class Cut(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.detach().mean((2, 3))

    with pytest.raises(CallError, match="its graph ends inside of the model"):
        explained(Cut(), X, name, steps=2, **OPTIONS[name])
