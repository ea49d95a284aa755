"""NeVA: the planted patch is looked at first, what was seen has nothing left to give, the same call gives the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from regard.errors import DegenerateError, LayoutError
from regard.gaze.scanpaths import neva

PLACES = [(14, 40), (44, 12)]  # rows, columns of two fine checks of 10 pixels


def scene(seed: int = 0) -> Tensor:
    x = 0.5 + 0.02 * torch.randn(1, 3, 60, 60, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    check = ((torch.arange(10)[:, None] + torch.arange(10)) % 2).double()
    for row, column in PLACES:
        x[:, :, row : row + 10, column : column + 10] = check
    return x


def pixels(v: Tensor) -> Tensor:
    return (v - 0.5).flatten(1)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_patches_are_looked_at_and_none_twice(seed: int) -> None:
    x = scene(seed)
    told = neva(x, pixels, pixels(x)[0], fixations=2, steps=40, sigma=0.1, seed=seed)
    middles = np.array([(c + 5, r + 5) for r, c in PLACES])
    gaps = np.linalg.norm(told.path.xy[:, None] - middles, axis=2)
    assert sorted(gaps.argmin(1).tolist()) == [0, 1]  # one each: inhibition of return
    assert gaps.min(1).max() < 6
    assert told.likeness[1] > told.likeness[0]


def test_without_memory_it_looks_at_the_same_place_again() -> None:
    """The planted fault: forgetting all at once undoes the inhibition of return."""
    x = scene()
    told = neva(x, pixels, pixels(x)[0], fixations=2, sigma=0.1, kept=0.0, rate=0.05, seed=3)
    gaps = np.linalg.norm(told.path.xy[:, None] - np.array([(c + 5, r + 5) for r, c in PLACES]), axis=2)
    assert len(set(gaps.argmin(1).tolist())) == 1
    assert gaps.min(1).max() < 6  # and that place is a planted one


def test_the_goal_decides_and_calls_repeat() -> None:
    x = scene()
    only = x.clone()
    row, column = PLACES[1]
    only[:, :, row : row + 10, column : column + 10] = 0.5
    told = neva(x, pixels, pixels(only)[0], fixations=1, sigma=0.1)
    assert np.abs(told.path.xy[0] - [45, 19]).max() < 6
    again = neva(x, pixels, pixels(only)[0], fixations=1, sigma=0.1)
    assert np.array_equal(told.path.xy, again.path.xy)
    assert told.likeness == again.likeness


def test_refusals() -> None:
    x = scene()
    with pytest.raises(LayoutError, match="0 fixations"):
        neva(x, pixels, pixels(x)[0], fixations=0)
    with pytest.raises(DegenerateError, match="does not depend"):
        neva(torch.ones(1, 3, 20, 20), lambda v: v.flatten(1), torch.ones(1200))
