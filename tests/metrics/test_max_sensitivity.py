from __future__ import annotations

from functools import partial

import pytest
import torch

import regard as rg
from regard.errors import LayoutError

from .additive import make_linear
from .regions import MODEL, X


def score(method: str, **options: float) -> rg.Score:
    heat = rg.explain(MODEL, X, method=method, target=1)
    return rg.score(heat, MODEL, X, metric=partial(rg.metrics.max_sensitivity, **options), orders=9)


def test_it_is_the_largest_relative_change() -> None:
    got = score("input_x_gradient", samples=4, radius=0.05)
    g = torch.Generator().manual_seed(0)
    reach = 0.05 * float(X.max() - X.min())
    moves = (torch.rand((4, *X.shape), generator=g, dtype=torch.float64) * 2 - 1) * reach
    maps = [
        torch.from_numpy(rg.explain(MODEL, X + d.float(), method="input_x_gradient", target=1).values).double()
        for d in (torch.zeros_like(X), *moves)
    ]
    slow = [float((m - maps[0]).norm() / maps[0].norm()) for m in maps[1:]]
    assert got.value == pytest.approx(max(slow), rel=1e-5)
    assert got.n == 9


def test_a_constant_explanation_does_not_move() -> None:
    """The gradient of a linear score is the same everywhere."""
    model, x, _ = make_linear()
    heat = rg.explain(model, x, method="gradient", target=1)
    assert rg.score(heat, model, x, metric="max_sensitivity", orders=3).value == pytest.approx(0, abs=1e-12)
    with pytest.raises(LayoutError, match="0 samples"):
        score("gradient", samples=0)
