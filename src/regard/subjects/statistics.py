"""Statistics of scores over a data set: the picture is the unit, and differences are paired by picture.

bca         bias-corrected accelerated bootstrap of a mean; with `groups` whole clusters are drawn
paired      a mean difference with its interval, its effect size and a sign-flip p
holm        p-values corrected for how many there are
kendall     how far two rankings agree
power       how wide an interval n pictures give, how many a wanted width needs, and how many a claim needs
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from regard.errors import LayoutError

Numbers = NDArray[np.float64]
EXACT = 12  # pairs up to which all sign flips are counted


def bca(
    values: Sequence[float] | Numbers,
    *,
    groups: Sequence[object] | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
    expanded: bool = True,
) -> tuple[float, float]:
    """Interval of the mean of `values`, one a picture: Efron's BCa bootstrap; seeded.

    expanded: the normal quantiles give way to sqrt(n / (n - 1)) times those of Student's t (Hesterberg 2015): without
    that, intervals of 40 pictures hold the mean 92 % of the time instead of 95 %.
    groups: the cluster of each value (pictures of one scene, maps of one model): clusters are drawn whole, and left out
    whole for the acceleration. Raises LayoutError for under two units. Values that do not vary give their own value.

    >>> from regard.subjects.statistics import bca
    >>> low, high = bca([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    >>> 1.5 < low < 3.5 < high < 5.5
    True
    """
    sums, counts = _clusters(np.asarray(values, dtype=float), groups)
    n = len(sums)
    if n < 2:
        raise LayoutError(f"an interval from {n} unit{'s' * (n != 1)}", hint="at least two pictures (or clusters)")
    mean = sums.sum() / counts.sum()
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=draws)
    means = np.sort(drawn @ sums / (drawn @ counts))
    if math.isclose(means[0], means[-1], abs_tol=1e-15):
        return float(mean), float(mean)
    below = np.clip((np.sum(means < mean) + 0.5 * np.sum(means == mean)) / draws, 1 / draws, 1 - 1 / draws)
    bias = stats.norm.ppf(below)
    without = (sums.sum() - sums) / (counts.sum() - counts)
    off = without.mean() - without
    spread = np.sum(off**2) ** 1.5
    bend = np.sum(off**3) / (6 * spread) if spread > 0 else 0.0
    ends = []
    for side in ((1 - level) / 2, (1 + level) / 2):
        z = bias + (math.sqrt(n / (n - 1)) * stats.t.ppf(side, n - 1) if expanded else stats.norm.ppf(side))
        ends.append(float(np.quantile(means, stats.norm.cdf(bias + z / (1 - bend * z)))))
    return ends[0], ends[1]


def _clusters(values: Numbers, groups: Sequence[object] | None) -> tuple[Numbers, Numbers]:
    """Sum and size of each cluster; a picture is its own where none are told."""
    if values.ndim != 1 or not np.isfinite(values).all():
        raise LayoutError(f"values {list(values.shape)} that are not finite numbers in a row", hint="one a picture")
    if groups is None:
        return values, np.ones(len(values), dtype=np.float64)
    if len(groups) != len(values):
        raise LayoutError(f"{len(groups)} groups for {len(values)} values", hint="the cluster of each value")
    index = np.unique([str(g) for g in groups], return_inverse=True)[1]
    sums = np.bincount(index, weights=values).astype(np.float64)
    return sums, np.bincount(index).astype(np.float64)


@dataclass(frozen=True)
class Paired:
    """A mean difference, its interval, its size in standard deviations of the differences (Cohen's d_z), and p."""

    difference: float
    interval: tuple[float, float]
    effect: float
    p: float
    n: int


def paired(a: Sequence[float] | Numbers, b: Sequence[float] | Numbers, *, draws: int = 4999, seed: int = 0) -> Paired:
    """Whether a differs from b, picture by picture: p counts sign flips with as large a mean difference (two-sided).

    All flips are counted for up to 12 pairs, else `draws` random ones and the observed one.

    >>> from regard.subjects.statistics import paired
    >>> paired([3.0, 4.0, 5.0, 7.0], [1.0, 2.0, 4.0, 4.0]).p
    0.125
    """
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if first.shape != second.shape:
        raise LayoutError(f"{len(first)} values paired with {len(second)}", hint="both of the same pictures, in order")
    gaps = first - second
    n = len(gaps)
    interval = bca(gaps, seed=seed)
    spread = float(gaps.std(ddof=1))
    effect = float(gaps.mean() / spread) if spread > 0 else math.copysign(math.inf, gaps.mean()) if gaps.any() else 0.0
    if n <= EXACT:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        signs = np.vstack([np.ones(n), np.random.default_rng(seed).choice([-1, 1], size=(draws, n))])
    means = np.abs(signs @ gaps)
    p = float(np.mean(means >= abs(gaps.sum()) * (1 - 1e-12)))
    return Paired(float(gaps.mean()), interval, effect, p, n)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's correction: the k-th smallest p times (n - k + 1), never falling, at most 1.

    >>> from regard.subjects.statistics import holm
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p, kind="stable")
    scaled = np.asarray(p, dtype=float)[order] * np.arange(len(p), 0, -1)
    back = np.empty(len(p))
    back[order] = np.minimum(np.maximum.accumulate(scaled), 1.0) if len(p) else scaled
    return [float(v) for v in back]


def kendall(a: Sequence[float | int] | Numbers, b: Sequence[float | int] | Numbers) -> float | None:
    """Kendall's tau-b of two rankings; None where one of them has no order.

    >>> from regard.subjects.statistics import kendall
    >>> round(kendall([1, 2, 3, 4], [1, 2, 4, 3]), 3)
    0.667
    """
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(stats.kendalltau(a, b).statistic)


def half_width(values: Sequence[float] | Numbers) -> float:
    """Half of a 95 % interval of the mean by the normal rule: 1.96 s / sqrt(n)."""
    return 1.96 * float(np.std(values, ddof=1)) / math.sqrt(len(values))


def needed(spread: float, width: float) -> int:
    """Pictures for a half-width: (1.96 spread / width)^2.

    >>> from regard.subjects.statistics import needed
    >>> needed(0.332, 0.02)
    1059
    """
    if spread < 0 or width <= 0:
        raise LayoutError(f"a spread of {spread} and a half-width of {width}", hint="spread >= 0, width > 0")
    return math.ceil((1.96 * spread / width) ** 2)


def claimable(told: Paired, p: float, tests: int, *, level: float = 0.05) -> int | None:
    """Pictures like these that a claim of this difference needs; None where none is in sight: the corrected p is 1.

    max((1.96 / d_z)^2, log2(2 tests / level)): the first puts the interval's end at 0; with fewer than the second even
    differences that all agree cannot take the smallest of `tests` sign-flip p, Holm-corrected, down to `level`.

    >>> from regard.subjects.statistics import claimable, paired
    >>> told = paired([3.0, 4.0, 5.0, 7.0], [1.0, 2.0, 4.0, 4.0])
    >>> claimable(told, told.p, tests=1), claimable(told, 1.0, tests=12)
    (6, None)
    """
    if p >= 1.0 or told.effect == 0:
        return None
    return max(needed(1.0, abs(told.effect)), math.ceil(math.log2(2 * tests / level)))
