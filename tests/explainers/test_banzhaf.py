from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from regard.errors import LayoutError

from . import games
from .games import Game, cells_of, pictures, subsets
from .models import explained


def test_additive_scores_are_exact_in_one_design_without_error() -> None:
    model, x = Game(pairs=0.0), pictures()
    made = explained(model, x, "banzhaf", cells=2, baseline="black")
    wanted = games.banzhaf(subsets(model, x, 1, 2, 3), 6)
    torch.testing.assert_close(cells_of(made), wanted, rtol=1e-10, atol=1e-12)
    assert made.se is not None
    assert made.se.max() < 1e-10
    assert made.forwards == 2 * (1 + 16)
    assert (made.grid.h, made.grid.w) == (2, 3)


def test_pairs_that_act_together_do_not_disturb_the_main_effects() -> None:
    """Complements take two-cell interactions out, so that a few masks give the exhaustive value."""
    model, x = Game(), pictures()
    wanted = games.banzhaf(subsets(model, x, 1, 2, 3), 6)
    for seed in range(3):
        made = explained(model, x, "banzhaf", cells=2, baseline="black", seed=seed)
        torch.testing.assert_close(cells_of(made), wanted, rtol=1e-9, atol=1e-10)


def test_more_designs_until_the_error_is_small_enough() -> None:
    model, x = torch.nn.Sequential(Game(3, 3), torch.nn.Tanh()), pictures(1, 9, 9)
    once = explained(model, x, "banzhaf", cells=3, baseline="black")
    finer = explained(model, x, "banzhaf", cells=3, baseline="black", se=0.02)
    assert once.se is not None
    assert finer.se is not None
    assert finer.forwards > once.forwards
    assert finer.se.mean() <= 0.02 * np.ptp(finer.values)
    wanted = games.banzhaf(subsets(model, x, 1, 3, 3), 9)
    assert (cells_of(finer) - wanted).abs().max() < 5 * finer.se.max()


def test_no_design_is_begun_after_the_time_is_up() -> None:
    """One always runs, and its map is what one design gives; a clock that jumps decides how many more do."""
    model, x = torch.nn.Sequential(Game(3, 3), torch.nn.Tanh()), pictures(1, 9, 9)
    once = explained(model, x, "banzhaf", cells=3, baseline="black")
    short = explained(model, x, "banzhaf", cells=3, baseline="black", seconds=1e-9)
    assert short.forwards == once.forwards
    np.testing.assert_array_equal(short.values, once.values)
    clock = iter(range(100))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["regard.explainers.banzhaf"], "monotonic", lambda: next(clock))
        longer = explained(model, x, "banzhaf", cells=3, baseline="black", seconds=3.0)
    assert longer.forwards - 1 == 3 * (once.forwards - 1)
    assert longer.se is not None
    assert once.se is not None
    assert longer.se.mean() < once.se.mean()


def test_the_error_is_as_large_as_it_says() -> None:
    """z-scores against the exhaustive value have a spread of about 1."""
    model, x = torch.nn.Sequential(Game(3, 3, pairs=2.0), torch.nn.Tanh()), pictures(1, 9, 9) * 2
    wanted = games.banzhaf(subsets(model, x, 1, 3, 3), 9)
    z = []
    for seed in range(30):
        made = explained(model, x, "banzhaf", cells=3, baseline="black", forwards=48, seed=seed)
        assert made.se is not None
        z.append((cells_of(made) - wanted) / torch.from_numpy(made.se).flatten(1))
    spread = float(torch.cat(z).square().mean().sqrt())
    assert 0.6 < spread < 1.4


def test_few_masks_still_rank() -> None:
    model, x = Game(4, 4, pairs=0.1), pictures(1, 16, 16)
    made = explained(model, x, "banzhaf", cells=4, baseline="black", forwards=14)
    full = explained(model, x, "banzhaf", cells=4, baseline="black")
    assert float(np.corrcoef(made.values.ravel(), full.values.ravel())[0, 1]) > 0.5


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"se": 2.0}, "a standard error of 2.0 of the range"),
        ({"forwards": 3}, "2 masks"),
        ({"seconds": 0.0}, "a budget of 0.0 seconds"),
        ({"cells": 99}, "99 cells"),
    ],
)
def test_options_without_a_sense_are_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(LayoutError, match=text):
        explained(Game(), pictures(), "banzhaf", **{"cells": 2, **options})
