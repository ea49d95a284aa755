"""Controls against scipy, against loops, and on maps whose answer is known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from regard.looking.controls import check, inside_outside, rank_correlation
from regard.subjects.controls import centre_gaussian


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_rank_correlation_is_spearmans_rho_also_with_ties() -> None:
    a, b = drawn(5, 7), drawn(5, 7, seed=1).round(0)
    assert rank_correlation(a, b) == pytest.approx(float(spearmanr(a.ravel(), b.ravel()).statistic))
    assert rank_correlation(a, a**3) == pytest.approx(1.0)
    assert rank_correlation(a, -np.exp(a)) == pytest.approx(-1.0)


def test_a_constant_map_says_nothing() -> None:
    assert rank_correlation(drawn(3, 3), np.full((3, 3), 2.0)) is None
    assert rank_correlation(np.zeros((3, 3)), drawn(3, 3)) is None
    assert rank_correlation(drawn(3, 3), np.where(np.eye(3) > 0, np.nan, drawn(3, 3))) is None


def test_inside_and_outside_are_means_over_the_cells_of_a_mask() -> None:
    mask = drawn(4, 5) > 0
    fine = drawn(8, 10, seed=1).astype(np.float32)
    coarse = np.array([[fine[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean() for x in range(5)] for y in range(4)])
    assert inside_outside(mask, fine) == pytest.approx((coarse[mask].mean(), coarse[~mask].mean()), rel=1e-5)
    assert inside_outside(np.ones((4, 5), bool), fine) is None
    assert inside_outside(np.zeros((4, 5), bool), fine) is None


def test_check_on_maps_whose_answers_are_known() -> None:
    """A map that follows the picture survives the mirror; one that is bound to places is turned about."""
    x = torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    model, twin = nn.Identity(), nn.Flatten()
    slope = np.tile(np.arange(8.0), (6, 1))

    def follows(which: nn.Module, picture: Tensor) -> np.ndarray:
        return picture[0, 0].numpy() * (1.0 if which is model else -1.0)

    def bound(which: nn.Module, picture: Tensor) -> np.ndarray:
        return slope

    followed = check(follows, follows(model, x), model, twin, x)
    assert (followed.mirror, followed.shuffled) == (pytest.approx(1.0), pytest.approx(-1.0))
    expected = spearmanr(x[0, 0].numpy().ravel(), centre_gaussian(6, 8).ravel()).statistic
    assert followed.centre == pytest.approx(float(expected))
    stuck = check(bound, slope, model, twin, x)
    assert (stuck.mirror, stuck.shuffled) == (pytest.approx(-1.0), pytest.approx(1.0))
    assert stuck.centre == pytest.approx(0.0, abs=1e-12)
