from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import regard as rg
from regard.errors import LayoutError

from .additive import GRID, make, removal_curve


def as_map(values: torch.Tensor) -> rg.Map:
    return rg.Map(values.view(1, GRID.h, GRID.w).numpy(), GRID, "given")


def test_curve_and_area_equal_the_slow_way() -> None:
    model, x, contributions = make()
    score = rg.score(as_map(contributions), model, x, target=1, baseline="mean", steps=12, orders=4)
    order = contributions.argsort(descending=True)
    slow = removal_curve(model, x, order, list(range(13)))
    np.testing.assert_allclose(score.curve[1], slow, rtol=1e-9)
    np.testing.assert_allclose(score.curve[0], np.arange(13) / 12)
    assert score.value == pytest.approx(np.trapezoid(slow, np.arange(13) / 12))


def test_true_contributions_reach_the_best_area_of_all_orders() -> None:
    """Exhaustive over a six-cell tail: no order has a lower area than the true one."""
    model, x, contributions = make(3)
    best = rg.score(as_map(contributions), model, x, target=1, baseline="mean", steps=12, orders=0).value
    order = contributions.argsort(descending=True)
    for tail in itertools.permutations(order[:4].tolist()):
        other = torch.tensor([*tail, *order[4:].tolist()])
        curve = removal_curve(model, x, other, list(range(13)))
        assert np.trapezoid(curve, np.arange(13) / 12) >= best - 1e-12
    worst = rg.score(as_map(-contributions), model, x, target=1, baseline="mean", steps=12, orders=0).value
    assert worst > best


def test_null_values_are_the_areas_of_random_orders() -> None:
    model, x, contributions = make()
    score = rg.score(as_map(contributions), model, x, target=1, baseline="mean", steps=6, orders=20, seed=5)
    g = torch.Generator().manual_seed(5)
    steps = torch.linspace(0, 12, 7).round().long().tolist()
    for value in score.null:
        slow = removal_curve(model, x, torch.randperm(12, generator=g), steps)
        assert value == pytest.approx(np.trapezoid(slow, np.array(steps) / 12))
    assert score.p == (1 + (score.null <= score.value).sum()) / 21
    assert score.n == 20


def test_direction_and_convention_are_told() -> None:
    model, x, contributions = make()
    score = rg.score(as_map(contributions), model, x, target=1, orders=2, steps=5)
    assert score.direction == "lower"
    assert score.convention == "12 cells, 5 steps, blur baseline, probability"


def test_another_grid_than_the_banks_is_refused() -> None:
    model, x, contributions = make()
    bank = rg.bank(model, x, as_map(contributions), target=1, orders=1)
    other = rg.Map(np.arange(4.0).reshape(1, 2, 2), rg.Grid(2, 2), "given")
    with pytest.raises(LayoutError, match="grid 2x2 scored on grid 3x4"):
        rg.score(other, model, x, target=1, bank=bank)
