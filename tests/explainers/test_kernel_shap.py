from __future__ import annotations

import pytest
import torch

from regard.errors import LayoutError

from . import games
from .games import Game, cells_of, pictures, subsets
from .models import explained


def test_all_coalitions_give_the_exhaustive_shapley_value() -> None:
    model, x = torch.nn.Sequential(Game(), torch.nn.Tanh()), pictures()
    made = explained(model, x, "kernel_shap", cells=2, baseline="black", forwards=64)
    torch.testing.assert_close(cells_of(made), games.shapley(subsets(model, x, 1, 2, 3), 6), rtol=1e-8, atol=1e-10)
    assert made.forwards == 2 * (1 + 63)


def test_sampled_coalitions_come_close_and_are_complete() -> None:
    model, x = torch.nn.Sequential(Game(3, 3), torch.nn.Tanh()), pictures(1, 9, 9)
    scores = subsets(model, x, 1, 3, 3)
    made = explained(model, x, "kernel_shap", cells=3, baseline="black", forwards=300)
    exact = explained(model, x, "kernel_shap", cells=3, baseline="black", forwards=512)
    assert made.gap is not None
    assert made.gap < 1e-9
    whole = scores[tuple(range(9))] - scores[()]
    torch.testing.assert_close(cells_of(exact).sum(1), whole)
    assert (cells_of(made) - cells_of(exact)).abs().max() < 0.1 * cells_of(exact).abs().max()


@pytest.mark.parametrize("options", [{"cells": 1}, {"cells": 3, "forwards": 10}])
def test_too_little_to_tell_cells_apart_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(LayoutError, match="more forwards than cells"):
        explained(Game(), pictures(1, 9, 9), "kernel_shap", **options)
