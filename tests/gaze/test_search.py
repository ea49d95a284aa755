from __future__ import annotations

import numpy as np
import pytest

from regard.errors import DegenerateError, LayoutError
from regard.gaze.data import Scanpath
from regard.gaze.search import asymmetries, asymmetry_index, found_at, hit_curve, mismatch, slope

BOX = (10.0, 10.0, 20.0, 20.0)


def path(*xy: tuple[float, float]) -> Scanpath:
    return Scanpath(list(xy), [0.2] * len(xy))


def test_the_first_hit_counts_and_edges_are_half_open() -> None:
    assert found_at(path((0, 0), (12, 12), (12, 13)), BOX) == 2
    assert found_at(path((10, 10)), BOX) == 1
    assert found_at(path((20, 10), (10, 20)), BOX) is None
    assert found_at(path((np.nan, np.nan), (15, 15)), BOX) == 2
    assert found_at(Scanpath([], []), BOX) is None


def test_a_random_searcher_finds_as_often_as_chance_has_it() -> None:
    """Of k equal boxes without return, the share found by fixation n is n / k."""
    rng = np.random.default_rng(0)
    places = [(5.0 + 10 * i, 5.0) for i in range(8)]
    paths = [path(*[places[i] for i in rng.permutation(8)]) for _ in range(2000)]
    curve = hit_curve(paths, [(20.0, 0.0, 30.0, 10.0)] * 2000, fixations=10)
    assert np.abs(curve[:8] - np.arange(1, 9) / 8).max() < 0.04
    assert (curve[7:] == 1).all()
    assert (np.diff(curve) >= 0).all()
    assert mismatch(curve, curve) == 0
    assert mismatch(curve, np.zeros(10)) == pytest.approx(curve.sum())


def test_slopes_and_index() -> None:
    assert slope([1, 5, 9], [3.0, 4.0, 5.0]) == pytest.approx(0.25)
    assert asymmetry_index(0.25, 0.0) == 1
    assert asymmetry_index(0.0, 0.25) == -1
    assert asymmetry_index(0.3, 0.3) == 0
    assert asymmetry_index(0.3, -0.2) == 1  # a falling cost is no cost


def test_refusals() -> None:
    with pytest.raises(DegenerateError, match="both searches are flat"):
        asymmetry_index(0.0, -1.0)
    with pytest.raises(DegenerateError, match="no search"):
        hit_curve([], [])
    with pytest.raises(LayoutError, match="1 paths, 2 targets"):
        hit_curve([path((0, 0))], [BOX, BOX])
    with pytest.raises(LayoutError, match="a target's box"):
        found_at(path((0, 0)), (1.0, 1.0, 1.0, 2.0))
    with pytest.raises(LayoutError, match="two sizes"):
        slope([4, 4], [1.0, 2.0])
    with pytest.raises(LayoutError, match="curves of 2 and 3"):
        mismatch(np.zeros(2), np.zeros(3))


def test_directions_are_told_with_their_intervals() -> None:
    rng = np.random.default_rng(0)
    easy, hard = rng.poisson(2, 60), rng.poisson(6, 60)
    table = asymmetries({"clear": (easy, hard), "against": (hard, easy), "none": (easy, easy)})
    assert table.column("as people") == ["yes", "no", "open"]
    assert table.column("difference")[0] == pytest.approx(hard.mean() - easy.mean())
    half = 1.96 * np.sqrt(easy.var() / 60 + hard.var() / 60)
    assert table.column("low")[0] == pytest.approx(hard.mean() - easy.mean() - half, abs=0.2)
    assert table.column("low")[1] == pytest.approx(-table.column("high")[0], abs=0.2)
    with pytest.raises(DegenerateError, match="'Q' has 1 and 2 searches"):
        asymmetries({"Q": ([1], [2, 3])})
