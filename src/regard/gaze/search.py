"""Visual search: how soon targets are found, and whether A among B is found sooner than B among A."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.errors import DegenerateError, LayoutError
from regard.gaze.data import Scanpath
from regard.results import Table

Array = NDArray[Any]
Box = Sequence[Any]  # left, top, right, bottom in pixels; right and bottom are outside


def found_at(path: Scanpath, target: Box) -> int | None:
    """Which fixation, counted from 1, is the first in the target's box; None if none is.

    >>> found_at(Scanpath([[1.0, 1.0], [5.0, 5.0]], [0.1, 0.1]), (4, 4, 8, 8))
    2
    """
    if len(target) != 4 or not (target[0] < target[2] and target[1] < target[3]):
        raise LayoutError(f"a target's box {target}", hint="(left, top, right, bottom) in pixels")
    left, top, right, bottom = target
    x, y = path.xy.T
    inside = (left <= x) & (x < right) & (top <= y) & (y < bottom)  # NaN compares false
    return int(inside.argmax()) + 1 if inside.any() else None


def hit_curve(paths: Sequence[Scanpath], targets: Sequence[Box], *, fixations: int = 10) -> Array:
    """Share of searches whose target was found by the 1st, 2nd, ... fixation, `[fixations]`; it never falls.

    One box a path. A path that ends before it finds the target counts as a miss from there on.
    Raises LayoutError, DegenerateError for no search.

    >>> path = Scanpath([[1.0, 1.0], [5.0, 5.0]], [0.1, 0.1])
    >>> hit_curve([path, path], [(4, 4, 8, 8), (0, 0, 2, 2)], fixations=3).tolist()
    [0.5, 1.0, 1.0]
    """
    if len(paths) != len(targets) or fixations < 1:
        raise LayoutError(f"{len(paths)} paths, {len(targets)} targets, {fixations} fixations", hint="one box a path")
    if not paths:
        raise DegenerateError("no search was given", hint="one path at least")
    when = np.array([found_at(p, t) or np.inf for p, t in zip(paths, targets, strict=True)])
    return np.asarray((when[:, None] <= np.arange(1, fixations + 1)).mean(0))


def mismatch(curve: Array, human: Array) -> float:
    """Sum over fixations of |curve - people's curve|: 0 for a model that finds as many by every fixation.

    >>> mismatch(np.array([0.5, 1.0]), np.array([0.25, 1.0]))
    0.25
    """
    if curve.shape != human.shape:
        raise LayoutError(f"curves of {len(curve)} and {len(human)} fixations", hint="as many fixations")
    return float(np.abs(curve - human).sum())


def slope(sizes: Sequence[Any], cost: Sequence[Any]) -> float:
    """Least-squares slope of the cost (fixations, or milliseconds) of a search over the number of items.

    >>> round(slope([1, 10, 20], [2.0, 3.8, 5.8]), 6)
    0.2
    """
    if len(sizes) != len(cost) or len(set(sizes)) < 2:
        raise LayoutError(f"{len(cost)} costs at sizes {list(sizes)}", hint="one each, at two sizes or more")
    return float(np.polyfit(np.asarray(sizes, float), np.asarray(cost, float), 1)[0])


def asymmetry_index(hard: float, easy: float) -> float:
    """(hard - easy) / (hard + easy) of two slopes: over 0 where the search that people find hard is hard, -1..1.

    Negative slopes count as 0: more items cannot help. Raises DegenerateError where both are 0.
    Source: Gupta, Zhang, Wu, Wolfe and Kreiman 2021.

    >>> asymmetry_index(3.0, 1.0)
    0.5
    """
    hard, easy = max(hard, 0.0), max(easy, 0.0)
    if hard + easy == 0:
        raise DegenerateError("both searches are flat", hint="harder arrays: neither slope is over 0")
    return (hard - easy) / (hard + easy)


def asymmetries(searches: Mapping[str, tuple[Any, Any]], *, draws: int = 2000, seed: int = 0) -> Table:
    """What each pair of searches cost, which of the two cost more, and whether people find that one harder too.

    searches: {pair: (fixations of each search for what people find sooner, of each for the other)}. Columns: the means,
    hard - easy with the central 95 % of a bootstrap over searches, and `as people`: yes where all of that is over 0, no
    where it is under 0, else open. Raises DegenerateError where a search was made less than twice.

    >>> told = asymmetries({"Q": ([1, 2, 1, 2], [6, 7, 8, 7]), "tilt": ([3, 1, 2], [1, 2, 3])})
    >>> told.column("difference"), told.column("as people")
    ([5.5, 0.0], ['yes', 'open'])
    """
    rng = np.random.default_rng(seed)
    rows = []
    for name, (easy, hard) in searches.items():
        if min(len(easy), len(hard)) < 2:
            raise DegenerateError(f"'{name}' has {len(easy)} and {len(hard)} searches", hint="two of each at least")
        means = [np.asarray(c, float)[rng.integers(0, len(c), (draws, len(c)))].mean(1) for c in (easy, hard)]
        low, high = np.percentile(means[1] - means[0], [2.5, 97.5])
        one, other = float(np.mean(easy)), float(np.mean(hard))
        told = "yes" if low > 0 else "no" if high < 0 else "open"
        rows.append((name, one, other, other - one, float(low), float(high), told))
    columns = ("pair", "easy", "hard", "difference", "low", "high", "as people")
    return Table(columns=columns, rows=tuple(rows), title="fixations until the target is found")
