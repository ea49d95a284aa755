"""`Fixations` of people and the `Scanpath` of one viewing: plain tables that know their units.

Positions are pixels of the picture, x right and y down from its top left corner, durations seconds. Degrees of visual
angle come only out of `degrees()`, which needs to know how many pixels a degree has; nothing else mixes the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.errors import DataError, DegenerateError, LayoutError

Array = NDArray[Any]
LONG = 30.0  # seconds: no fixation lasts that long, so these are milliseconds


@dataclass(frozen=True, eq=False)
class Scanpath:
    """One person on one picture: fixations in the order in which they were made."""

    xy: Any
    duration: Any
    observer: str = ""
    image: str = ""
    size: tuple[int, int] | None = None
    per_degree: float | None = None

    def __post_init__(self) -> None:
        xy, duration = _positions(self.xy), _durations(self.duration, len(self.xy))
        object.__setattr__(self, "xy", xy)
        object.__setattr__(self, "duration", duration)

    def __len__(self) -> int:
        return len(self.xy)

    def __repr__(self) -> str:
        return f"Scanpath({len(self)} fixations by {self.observer or 'somebody'} on {self.image or 'a picture'})"


@dataclass(frozen=True, eq=False)
class Fixations:
    """Where people looked: one row a fixation, in the order of viewing within each observer and image.

    xy `[n, 2]` pixels · duration `[n]` seconds, NaN where unknown · observer, image `[n]` names ·
    size (height, width) of the pictures in pixels · per_degree: pixels of a degree of visual angle

    >>> seen = Fixations([[10.0, 20.0], [30.0, 5.0]], duration=[0.2, 0.3], size=(40, 60), per_degree=10.0)
    >>> seen.degrees()[0]
    array([1., 2.])
    >>> len(seen.paths()), seen.paths()[0]
    (1, Scanpath(2 fixations by 0 on picture))
    """

    xy: Any
    duration: Any = None
    observer: Any = "0"
    image: Any = "picture"
    size: tuple[int, int] | None = None
    per_degree: float | None = None

    def __post_init__(self) -> None:
        xy = _positions(self.xy)
        n = len(xy)
        object.__setattr__(self, "xy", xy)
        object.__setattr__(self, "duration", _durations(self.duration, n))
        for name in ("observer", "image"):
            object.__setattr__(self, name, _names(name, getattr(self, name), n))
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise LayoutError(f"size={self.size}", hint="(height, width) of the pictures in pixels")
        if self.per_degree is not None and not self.per_degree > 0:
            raise LayoutError(f"per_degree={self.per_degree}", hint="pixels of one degree, as 24.0 for OSIE")

    def __len__(self) -> int:
        return len(self.xy)

    def __repr__(self) -> str:
        scale = f", {self.per_degree:g} px a degree" if self.per_degree else ""
        people, pictures = len(self.observers), len(self.images)
        return f"Fixations({len(self)} of {people} observers on {pictures} pictures{scale})"

    @property
    def images(self) -> list[str]:
        """Names of the pictures, in the order in which they come first."""
        return list(dict.fromkeys(self.image.tolist()))

    @property
    def observers(self) -> list[str]:
        """Names of the observers, in the order in which they come first."""
        return list(dict.fromkeys(self.observer.tolist()))

    def where(self, keep: Array | Callable[[Fixations], Array]) -> Fixations:
        """The rows that a mask `[n]` or their numbers, or a function of the table that gives either, keeps."""
        mask = np.asarray(keep(self) if callable(keep) else keep)
        columns = {c: getattr(self, c)[mask] for c in ("xy", "duration", "observer", "image")}
        return Fixations(**columns, size=self.size, per_degree=self.per_degree)

    def on(self, *images: str) -> Fixations:
        """The fixations on these pictures."""
        missing = set(images) - set(self.images)
        if missing:
            raise DataError(f"nobody looked at '{sorted(missing)[0]}'", hint=f"pictures: {_some(self.images)}")
        return self.where(np.isin(self.image, images))

    def by(self, *observers: str) -> Fixations:
        """The fixations of these observers."""
        missing = set(observers) - set(self.observers)
        if missing:
            raise DataError(f"no observer '{sorted(missing)[0]}'", hint=f"observers: {_some(self.observers)}")
        return self.where(np.isin(self.observer, observers))

    def inside(self) -> Fixations:
        """Without those outside the picture and those that are NaN: blinks and glances away."""
        if self.size is None:
            raise LayoutError("the size of the pictures is not known", hint="Fixations(..., size=(height, width))")
        height, width = self.size
        x, y = self.xy.T
        return self.where((x >= 0) & (x < width) & (y >= 0) & (y < height))  # NaN compares false

    def without_first(self) -> Fixations:
        """Without the first fixation of each viewing, which was forced to the centre in some experiments."""
        keep = np.ones(len(self), dtype=np.bool_)
        firsts: dict[tuple[str, str], int] = {}
        for at, key in enumerate(zip(self.image.tolist(), self.observer.tolist(), strict=True)):
            firsts.setdefault(key, at)
        keep[list(firsts.values())] = False
        return self.where(keep)

    def degrees(self) -> Array:
        """Positions in degrees of visual angle from the top left corner, `[n, 2]`."""
        if self.per_degree is None:
            raise LayoutError("pixels of a degree are not known", hint="Fixations(..., per_degree=24.0)")
        return self.xy / self.per_degree

    def paths(self) -> tuple[Scanpath, ...]:
        """One scanpath for each observer on each picture."""
        rows: dict[tuple[str, str], list[int]] = {}
        for at, key in enumerate(zip(self.image.tolist(), self.observer.tolist(), strict=True)):
            rows.setdefault(key, []).append(at)
        return tuple(
            Scanpath(self.xy[at], self.duration[at], observer, image, self.size, self.per_degree)
            for (image, observer), at in rows.items()
        )


def together(paths: Iterable[Scanpath]) -> Fixations:
    """Scanpaths as one table; all on pictures of one size and scale.

    >>> together([Scanpath([[1.0, 2.0]], [0.1], "ann"), Scanpath([[3.0, 4.0]], [0.2], "bob")]).observers
    ['ann', 'bob']
    """
    given = list(paths)
    if not given:
        raise DegenerateError("no scanpath was given", hint="one at least")
    scales = {(p.size, p.per_degree) for p in given}
    if len(scales) > 1:
        raise LayoutError(f"scanpaths of {len(scales)} sizes or scales in one table", hint="one table for each")
    size, per_degree = scales.pop()
    return Fixations(
        np.concatenate([p.xy for p in given]),
        np.concatenate([p.duration for p in given]),
        np.repeat([p.observer for p in given], [len(p) for p in given]),
        np.repeat([p.image for p in given], [len(p) for p in given]),
        size,
        per_degree,
    )


def same(one: Fixations, other: Fixations) -> bool:
    """Whether two tables hold the same, NaN included.

    >>> same(Fixations([[1.0, 2.0]]), Fixations([[1.0, 2.0]]))
    True
    """
    for f in fields(Fixations):
        a, b = getattr(one, f.name), getattr(other, f.name)
        if isinstance(a, np.ndarray):
            if a.shape != b.shape or not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
                return False
        elif a != b:
            return False
    return True


def _positions(given: Any) -> Array:
    xy = np.array(given, dtype=np.float64)
    if xy.size == 0:
        return xy.reshape(0, 2)
    if xy.ndim != 2 or xy.shape[1] != 2:
        raise LayoutError(f"positions are [n, 2] (x, y) in pixels, got {list(xy.shape)}", hint="np.stack([x, y], 1)")
    return xy


def _durations(given: Any, n: int) -> Array:
    duration = np.full(n, np.nan) if given is None else np.array(given, dtype=np.float64).reshape(-1)
    if len(duration) != n:
        raise LayoutError(f"{len(duration)} durations for {n} fixations", hint="one each, in seconds, or None")
    known = duration[np.isfinite(duration)]
    if (known < 0).any():
        raise LayoutError(f"a duration of {known.min():g} s", hint="seconds, none negative; NaN where unknown")
    if known.size and np.median(known) > LONG:
        raise LayoutError(f"half of the durations are over {LONG:g} s", hint="are they milliseconds? divide by 1000")
    return duration


def _names(what: str, given: Any, n: int) -> Array:
    if isinstance(given, str):
        return np.full(n, given, dtype=object)
    names = np.array([str(one) for one in given], dtype=object)
    if len(names) != n:
        raise LayoutError(f"{len(names)} names of {what}s for {n} fixations", hint="one each, or one for all")
    return names


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f", ... ({len(names)})" if len(names) > 4 else "")
