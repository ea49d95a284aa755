"""`samples` of an eye tracker in order of time, and what every detector reads of them: speed in degrees a second."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from regard.errors import DegenerateError, LayoutError

Array = NDArray[Any]
Labels = NDArray[Any]  # [n], one of the four below for each sample
NOTHING, FIXATION, SACCADE, GLISSADE = 0, 1, 2, 3  # blink or unknown; a glissade is the overshoot after a saccade
NAMES = ("nothing", "fixation", "saccade", "glissade")
FASTEST_TRACKER = 5000.0  # samples a second: anything above is a time in the wrong unit
SLOWEST_TRACKER = 10.0


@dataclass(frozen=True, eq=False)
class Samples:
    """time [n] in seconds, evenly spaced; xy [n, 2] in pixels, NaN where the eye was not seen; pixels of a degree."""

    time: Array
    xy: Array
    per_degree: float

    def __len__(self) -> int:
        return len(self.time)

    def __repr__(self) -> str:
        seen = f"{100 * self.seen.mean():.0f} % seen"
        return f"Samples({len(self)} at {self.rate:.4g} a second, {seen}, {self.per_degree:g} px a degree)"

    @property
    def rate(self) -> float:
        """Samples a second."""
        return 1.0 / float(np.median(np.diff(self.time)))

    @property
    def degrees(self) -> Array:
        """Positions in degrees of visual angle, [n, 2]."""
        return self.xy / self.per_degree

    @property
    def seen(self) -> Array:
        """Where both coordinates are known, [n]."""
        return np.asarray(np.isfinite(self.xy).all(1))

    def speed(self, *, window: float = 0.014, order: int = 2) -> Array:
        """Degrees a second by Savitzky and Golay's derivative, NaN within half a window of an unseen sample.

        window: seconds that the fit of `order` spans, at least order + 1 samples and an odd number of them.
        """
        return np.hypot(*self.velocity(window=window, order=order).T)

    def velocity(self, *, window: float = 0.014, order: int = 2) -> Array:
        """Degrees a second along x and y, [n, 2]; see `speed`. Before the first sample the eye counts as still."""
        width = max(order + 1, round(window * self.rate))
        width += 1 - width % 2
        if len(self) < width:
            raise DegenerateError(f"{len(self)} samples, fits of {width}", hint="a longer recording, a shorter window")
        filled = np.where(self.seen[:, None], self.degrees, 0.0)
        slope = signal.savgol_filter(filled, width, order, deriv=1, delta=1 / self.rate, axis=0, mode="nearest")
        blind = ndimage.binary_dilation(~self.seen, np.ones(width))
        slope[blind] = np.nan
        return np.asarray(slope)


def samples(time: Any, xy: Any, *, per_degree: float, degrees: bool = False) -> Samples:
    """Check a recording: time [n] in seconds, xy [n, 2] in pixels, or (degrees=True) in degrees.

    per_degree: pixels of one degree of visual angle; with degrees=True it only says how many pixels one is to become.
    A sample with one coordinate NaN is unseen. Raises LayoutError for units that cannot be (milliseconds, samples out
    of order), DegenerateError where fewer than three samples were seen.

    >>> one = samples([0.0, 0.01, 0.02], [[30.0, 0.0], [60.0, 0.0], [90.0, 0.0]], per_degree=30.0)
    >>> one.degrees[-1].tolist(), round(float(one.speed()[1]), 6)
    ([3.0, 0.0], 100.0)
    """
    try:
        when, where = np.array(time, dtype=np.float64), np.array(xy, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise LayoutError(f"times and positions are no numbers ({error})", hint="[n] and [n, 2]") from error
    if when.ndim != 1 or where.shape != (len(when), 2):
        raise LayoutError(f"times {list(when.shape)}, positions {list(where.shape)}", hint="[n] and [n, 2]")
    if not per_degree > 0:
        raise LayoutError(f"per_degree={per_degree}", hint="pixels of one degree of visual angle, as 35.0")
    steps = np.diff(when)
    if len(when) < 3 or np.isfinite(where).all(1).sum() < 3:
        raise DegenerateError(f"{np.isfinite(where).all(1).sum()} samples were seen", hint="three at least")
    if not (steps > 0).all():
        raise LayoutError("times that do not rise", hint="sort the samples by time, drop repeats, no NaN among times")
    rate = 1 / float(np.median(steps))
    if not SLOWEST_TRACKER <= rate <= FASTEST_TRACKER:
        raise LayoutError(f"{rate:.3g} samples a second", hint="times are seconds: divide milliseconds by 1000")
    if steps.max() > 1.5 / rate:
        raise LayoutError(
            f"a gap of {steps.max():.3g} s among steps of {1 / rate:.3g} s", hint="rows of NaN where the eye was lost"
        )
    return Samples(when, where * per_degree if degrees else where, float(per_degree))


def check_samples(eye: Any) -> None:
    """Raise LayoutError for what is no recording, as a bare array of positions."""
    if not isinstance(eye, Samples):
        raise LayoutError(
            f"a recording is Samples, got {type(eye).__name__}", hint="samples(time, xy, per_degree=35.0)"
        )


def checked_labels(eye: Any, labels: Any) -> Array:
    """One label a sample as an array [n], or LayoutError."""
    check_samples(eye)
    found = np.asarray(labels)
    if found.shape != (len(eye),):
        raise LayoutError(f"labels {list(found.shape)} for {len(eye)} samples", hint="the labels of this recording")
    return found


def runs(labels: Array) -> list[tuple[int, int, int]]:
    """(label, first, behind the last) of each run of one label.

    >>> runs(np.array([1, 1, 2]))
    [(1, 0, 2), (2, 2, 3)]
    """
    edges = np.concatenate([[0], np.nonzero(np.diff(labels))[0] + 1, [len(labels)]])
    return [(int(labels[a]), int(a), int(b)) for a, b in pairwise(edges) if b > a]


def without_short(labels: Array, kind: int, least: int) -> Array:
    """Labels with runs of `kind` under `least` samples made nothing."""
    kept = labels.copy()
    for label, a, b in runs(labels):
        if label == kind and b - a < least:
            kept[a:b] = NOTHING
    return kept
