"""The whole card: every metric of a convention, on every picture, beside people's own ceiling and three controls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regard.errors import DegenerateError, LayoutError
from regard.gaze.conventions import Convention
from regard.gaze.data import Fixations
from regard.gaze.maps import blurred, centre_prior
from regard.progress import track
from regard.registry import cards

Array = NDArray[Any]


@dataclass(frozen=True)
class Judge:
    """Scores maps of one picture against some of its fixations, in one convention.

    others: fixations on other pictures, rescaled to this one; sigma: of the blur that makes people's map.
    """

    convention: Convention
    sigma: float
    others: Tensor | None = None

    @property
    def columns(self) -> dict[str, Any]:
        """The metrics that can be had here: name -> (card, options)."""
        known = cards("gaze.metrics")
        have = {"heatmap", "points", "truth"} | ({"others"} if self.others is not None else set())
        listed = {name: (known[m], options) for name, (m, options) in self.convention.metrics.items()}
        return {name: found for name, found in listed.items() if set(found[0].subjects) <= have}

    def scores(self, heatmap: Array, seen: Fixations) -> dict[str, float]:
        """Every metric of one map `[height, width]` at the picture's size."""
        return self.scored([heatmap], seen)[0]

    @property
    def unknown(self) -> dict[str, float]:
        """What stands in the place of scores that cannot be had."""
        return dict.fromkeys(self.columns, float("nan"))

    def scored(self, heatmaps: Sequence[Array | None], seen: Fixations) -> list[dict[str, float]]:
        """`scores` of several maps against the same fixations, which are blurred once; None has none."""
        assert seen.size is not None
        columns = self.columns
        given = {"points": torch.from_numpy(seen.xy), "others": self.others}
        if any("truth" in card.subjects for card, _ in columns.values()):
            given["truth"] = torch.from_numpy(blurred(seen, sigma=self.sigma))
        every = []
        for heatmap in heatmaps:
            if heatmap is None:
                every.append(self.unknown)
                continue
            heat = torch.from_numpy(np.asarray(heatmap, dtype=np.float64))
            if tuple(heat.shape) != tuple(seen.size):
                raise LayoutError(
                    f"a map of {list(heat.shape)} for a picture of {list(seen.size)}", hint="resize it first"
                )
            given["heatmap"] = heat
            found = {n: card.function(*(given[s] for s in card.subjects), **o) for n, (card, o) in columns.items()}
            every.append({name: float(value) for name, value in found.items()})
        return every


def halves(seen: Fixations, *, seed: int = 0) -> tuple[Fixations, Fixations]:
    """The observers in two halves, drawn with `seed`. Raises DegenerateError for fewer than two.

    >>> a, b = halves(Fixations([[1.0, 1.0], [2.0, 2.0]], observer=["ann", "bob"]))
    >>> sorted(a.observers + b.observers)
    ['ann', 'bob']
    """
    names = seen.observers
    if len(names) < 2:
        raise DegenerateError(f"{len(names)} observer cannot be halved", hint="fixations of two people at least")
    order = np.random.default_rng(seed).permutation(len(names))
    first = {names[i] for i in order[: len(names) // 2]}
    mask = np.array([name in first for name in seen.observer.tolist()])
    return seen.where(mask), seen.where(~mask)


def one_left_out(seen: Fixations) -> Iterator[tuple[Fixations, Fixations]]:
    """Each observer, and all others.

    >>> [len(rest) for own, rest in one_left_out(Fixations([[1.0, 1.0], [2.0, 2.0]], observer=["ann", "bob"]))]
    [1, 1]
    """
    if len(seen.observers) < 2:
        raise DegenerateError("there is nobody to leave out", hint="fixations of two people at least")
    for name in seen.observers:
        own = seen.observer == name
        yield seen.where(own), seen.where(~own)


def people(judge: Judge, seen: Fixations, how: str, seed: int) -> dict[str, float]:
    """What people's own map scores on people that it does not know: the mean over splits."""
    if how == "leave-one-out":
        splits = list(one_left_out(seen))
    else:
        one, other = halves(seen, seed=seed)
        splits = [(one, other), (other, one)]
    every = [judge.scores(blurred(rest, sigma=judge.sigma), own) for own, rest in splits if len(own) and len(rest)]
    return {name: float(np.mean([s[name] for s in every])) for name in every[0]}


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores `[pictures, metrics]` by whose map it is: `map`, `people`, `centre`, `other picture`, `uniform`."""

    names: tuple[str, ...]
    pictures: tuple[str, ...]
    values: Mapping[str, Array]
    sigma: float
    fixations: int
    without: Array | None = None  # scores [observers, metrics] of a single picture without each observer

    def interval(self, which: str = "map", *, draws: int = 1000, seed: int = 0) -> tuple[Array, Array]:
        """Bounds of the central 95 % of means over pictures drawn with repeats.

        For a single picture 1.96 standard errors by the jackknife over observers; NaN if there is but one of these.
        """
        values = self.values[which]
        if len(values) < 2:
            if self.without is None:
                return np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
            n = len(self.without)
            error = np.sqrt((n - 1) / n * ((self.without - self.without.mean(0)) ** 2).sum(0))
            return values[0] - 1.96 * error, values[0] + 1.96 * error
        at = np.random.default_rng(seed).integers(0, len(values), (draws, len(values)))
        low, high = np.percentile(values[at].mean(1), [2.5, 97.5], axis=0)
        return low, high


def _rows(seen: Fixations) -> dict[str, Array]:
    """Which rows lie on each picture, in the order in which these come first."""
    found: dict[str, list[int]] = {}
    for at, name in enumerate(seen.image.tolist()):
        found.setdefault(name, []).append(at)
    return {name: np.array(rows) for name, rows in found.items()}


def score_all(
    maps: Mapping[str, Array],
    seen: Fixations,
    convention: Convention,
    *,
    sigma: float | None = None,
    ceiling: str = "half-split",
    controls: bool = True,
    seed: int = 0,
) -> Scored:
    """Every picture's map, people's own, and the controls, judged alike.

    people: half (or all but one) of the observers' blurred map on the others · centre: the centre prior of the other
    pictures · other picture: the map of the next picture · uniform: a flat map. What cannot be had (one picture has
    no other) is NaN. A single picture is also scored without each observer in turn, for its interval.
    """
    there = seen.inside()
    assert there.size is not None
    where = _rows(there)
    names = [name for name in where if name in maps]
    if not names:
        raise DegenerateError("no picture has both a map and fixations", hint=f"people looked at {list(where)[:3]}")
    blur = convention.blur(there.size, there.per_degree) if sigma is None else sigma
    rows: dict[str, list[dict[str, float]]] = {}
    width = centre_prior(there).bandwidth if controls and len(where) > 2 else None
    without = None
    for at, name in enumerate(track(names, "pictures")):
        own = there.where(where[name])
        others = torch.from_numpy(np.delete(there.xy, where[name], axis=0)) if len(where) > 1 else None
        judge = Judge(convention, blur, others)
        shown: dict[str, Array | None] = {"map": maps[name]}
        if controls:
            prior = None if width is None else centre_prior(there, leave_out=name, bandwidth=width).density
            other = maps[names[(at + 1) % len(names)]] if len(names) > 1 else None
            shown |= {"centre": prior, "other picture": other, "uniform": np.ones(there.size)}
        told = dict(zip(shown, judge.scored([*shown.values()], own), strict=True))
        known = people(judge, own, ceiling, seed) if len(own.observers) > 1 else judge.unknown
        for which, one in {"map": told["map"], "people": known, **told}.items():
            rows.setdefault(which, []).append(one)
        if len(names) == 1 and len(own.observers) > 1:
            every = [judge.scores(maps[name], rest) for _, rest in one_left_out(own)]
            without = np.array([list(one.values()) for one in every])
    columns = tuple(rows["map"][0])
    values = {which: np.array([[one[c] for c in columns] for one in found]) for which, found in rows.items()}
    return Scored(columns, tuple(names), values, blur, sum(len(where[name]) for name in names), without)
