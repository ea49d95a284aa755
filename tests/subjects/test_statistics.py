from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from regard.errors import LayoutError
from regard.subjects.statistics import bca, claimable, half_width, holm, kendall, needed, paired


def test_bca_agrees_with_scipys() -> None:
    values = np.random.default_rng(0).lognormal(size=40)
    own = bca(values, draws=20_000, expanded=False)
    peer = stats.bootstrap((values,), np.mean, method="BCa", n_resamples=20_000, random_state=1).confidence_interval
    width = peer.high - peer.low
    np.testing.assert_allclose(own, (peer.low, peer.high), atol=0.03 * width)
    plain = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, random_state=1)
    assert abs(plain.confidence_interval.high - own[1]) > 0.05 * width  # the skew is seen


def test_clusters_are_drawn_whole() -> None:
    rng = np.random.default_rng(1)
    scene = np.repeat(np.arange(12), 10)
    values = rng.normal(size=12)[scene] + 0.1 * rng.normal(size=120)
    alone, together = bca(values), bca(values, groups=scene.tolist())
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])
    means = np.array([values[scene == s].mean() for s in range(12)])
    np.testing.assert_allclose(together, bca(means), atol=0.06)  # as one value a scene; other draws


@pytest.mark.slow
def test_intervals_cover_what_they_promise() -> None:
    """95 % of the intervals hold the known mean, normal and skewed; bca comes within 93 to 97 %."""
    for draw, n, mean in ((lambda r: r.normal(size=40), 40, 0.0), (lambda r: r.gamma(4.0, size=60), 60, 4.0)):
        rng = np.random.default_rng(n + 1)
        found = [bca(draw(rng), draws=1000, seed=i) for i in range(1500)]
        share = np.mean([low <= mean <= high for low, high in found])
        assert 0.93 <= share <= 0.97, share


def test_paired_equals_counting_all_flips() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(0.5, 1, 8), rng.normal(size=8)
    gaps = a - b
    flips = [abs(np.dot(signs, gaps)) for signs in itertools.product((1, -1), repeat=8)]
    got = paired(a, b)
    assert got.p == pytest.approx(np.mean(np.array(flips) >= abs(gaps.sum()) - 1e-12))
    assert got.effect == pytest.approx(gaps.mean() / gaps.std(ddof=1))
    assert got.interval[0] < got.difference < got.interval[1]
    many = paired(np.full(40, 1.0) + rng.normal(size=40) * 0.1, np.zeros(40))
    assert many.p == 1 / 5000


def test_holm_equals_its_definition() -> None:
    p = [0.04, 0.001, 0.03, 0.2]
    assert holm(p) == pytest.approx([0.09, 0.004, 0.09, 0.2])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_kendall_and_power() -> None:
    assert kendall([1, 2, 3], [3, 2, 1]) == -1
    assert kendall([1, 1, 1], [1, 2, 3]) is None
    values = np.random.default_rng(0).normal(size=100)
    n = needed(float(values.std(ddof=1)), half_width(values))
    assert n in (100, 101)


def test_what_has_no_interval_is_refused() -> None:
    with pytest.raises(LayoutError, match="an interval from 1 unit"):
        bca([1.0])
    with pytest.raises(LayoutError, match="not finite"):
        bca([1.0, float("nan")])
    with pytest.raises(LayoutError, match="3 groups for 2 values"):
        bca([1.0, 2.0], groups=[1, 2, 3])
    with pytest.raises(LayoutError, match="2 values paired with 3"):
        paired([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(LayoutError, match=r"half-width of 0\.0"):
        needed(1.0, 0.0)
    assert bca([2.0, 2.0, 2.0]) == (2.0, 2.0)


@pytest.mark.parametrize("tests", [1, 4, 13])
def test_fewer_pictures_than_the_sign_flips_need_are_never_enough(tests: int) -> None:
    """Differences that all agree, however large, against the p that flips can reach and Holm's correction of them."""
    told = paired([9.0, 9.1, 9.2, 9.3], [1.0, 1.0, 1.0, 1.0])
    least = claimable(told, 0.5, tests)
    reached = {n: holm([paired(np.arange(1.0, n + 1), np.zeros(n)).p] + [1.0] * (tests - 1))[0] for n in range(2, 13)}
    assert least == next(n for n, p in reached.items() if p <= 0.05)


def test_a_small_effect_needs_the_pictures_that_put_the_intervals_end_at_zero() -> None:
    gaps = np.random.default_rng(0).normal(0.3, 1.0, 60)
    told = paired(gaps, np.zeros(60))
    n = claimable(told, told.p, 1)
    assert n is not None
    assert n == needed(float(gaps.std(ddof=1)), abs(float(gaps.mean())))
    assert n > 12
    assert claimable(told, 1.0, 1) is None
    assert claimable(paired([1.0, -1.0], [0.0, 0.0]), 0.9, 1) is None
