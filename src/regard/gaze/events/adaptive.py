"""Adaptive velocity: the threshold is found in the recording's own noise, saccades end where it falls quiet again."""

from __future__ import annotations

import numpy as np

from regard.errors import DegenerateError, LayoutError
from regard.gaze.events.samples import (
    FIXATION,
    GLISSADE,
    NOTHING,
    SACCADE,
    Array,
    Labels,
    Samples,
    check_samples,
    without_short,
)
from regard.registry import method

FASTEST = 1000.0  # degrees a second: no eye turns faster, so the tracker lost it


@method(
    "gaze.events",
    paper="nystrom-holmqvist",
    claim="thresholds stand where a slow loop finds them; planted saccades are found",
    source="Nyström and Holmqvist 2010",
    needs={"eye"},
    differs="medians in the place of means unless asked; no accelerations; one kind of glissade",
    unit="label",
)
def adaptive(
    eye: Samples, *, start: float = 100.0, shortest: float = 0.04, saccade: float = 0.01, glissade: float = 0.04,
    window: float = 0.014, robust: bool = True,
) -> Labels:  # fmt: skip
    """Label each sample [n]: 1 fixation, 2 saccade, 3 glissade (the overshoot after it), 0 nothing.

    Peak threshold: from `start`, PT <- mean + 6 sd of all speeds under PT, until it moves by less than 1 degree a
    second. A saccade is a run over PT; it begins where the speed, going back, last stopped falling under
    mean + 3 sd, and ends, going on, at the first such place under .7 (mean + 3 sd) + .3 (mean + 3 sd of the 40 ms
    before it). A speed over that end's threshold again within `glissade` seconds is a glissade, to its last such
    sample and on to the next rest. What else was seen is a fixation of at least `shortest` seconds. saccade: the least
    a saccade lasts, in seconds; speeds over 1000 degrees a second are not believed.
    robust: medians and 1.4826 times the median deviation in the places of means and sd, without which the threshold
    runs away in recordings with blinks.

    Raises LayoutError, DegenerateError. Source: Nyström and Holmqvist 2010, doi 10.3758/BRM.42.1.188. Accelerations
    are not looked at here, and both kinds of glissade are one.

    >>> from regard.gaze.events import samples
    >>> rng = np.random.default_rng(0)
    >>> x = np.concatenate([np.zeros(60), np.linspace(0, 60, 14)[1:-1], np.full(60, 60.0)]) + rng.normal(0, 0.1, 132)
    >>> labels = adaptive(samples(np.arange(132) / 500, np.stack([x, 0 * x], 1), per_degree=10.0))
    >>> bool((labels[62:70] == 2).all()), int((labels[:50] == 2).sum())
    (True, 0)
    """
    check_samples(eye)
    if not start > 0 or min(shortest, saccade, glissade) < 0:
        raise LayoutError(f"start={start}, shortest={shortest}", hint="degrees a second, seconds")
    speed = eye.speed(window=window)
    speed = np.where(speed > FASTEST, np.nan, speed)
    peak, quiet = thresholds(speed, start, robust=robust)
    labels = np.where(np.isnan(speed), NOTHING, FIXATION)
    before = round(0.04 * eye.rate)
    at, n = 0, len(speed)
    while at < n:
        if not speed[at] > peak:  # NaN compares false
            at += 1
            continue
        first = at
        while first > 0 and (speed[first - 1] <= speed[first] or speed[first] > quiet):
            if np.isnan(speed[first - 1]):
                break
            first -= 1
        local = speed[max(0, first - before) : first]
        local = local[np.isfinite(local)]
        middle, spread = _noise(local, robust) if local.size else (quiet, 0.0)
        end = 0.7 * quiet + 0.3 * (middle + 3 * spread)
        while at < n and speed[at] > peak:
            at += 1
        last = _rest(speed, at, end)
        if last - first >= saccade * eye.rate:
            labels[first:last] = SACCADE
            over = np.nonzero(speed[last : last + round(glissade * eye.rate)] > end)[0]
            if over.size and not speed[last : last + over[-1] + 1].max() > peak:
                behind = _rest(speed, last + int(over[-1]), end)
                labels[last:behind] = GLISSADE
                last = behind
        at = max(at, last)
    labels[np.isnan(speed)] = NOTHING
    return without_short(labels, FIXATION, round(shortest * eye.rate))


def thresholds(speed: Array, start: float, *, robust: bool = False) -> tuple[float, float]:
    """Peak threshold mean + 6 sd and onset threshold mean + 3 sd of the speeds below the former, in degrees a second.

    >>> thresholds(np.array([1.0, 3.0, 1.0, 3.0, 200.0]), 100.0)
    (8.0, 5.0)
    """
    known, peak = speed[np.isfinite(speed)], start
    for _ in range(200):
        slow = known[known < peak]
        if not slow.size:
            raise DegenerateError(
                f"no speed is under {peak:.3g} degrees a second", hint="check per_degree and the units"
            )
        middle, spread = _noise(slow, robust)
        before, peak = peak, middle + 6 * spread
        if abs(peak - before) < 1:
            break
    return peak, middle + 3 * spread


def _noise(values: Array, robust: bool) -> tuple[float, float]:
    if not robust:
        return float(values.mean()), float(values.std())
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(values - middle)))


def _rest(speed: Array, at: int, end: float) -> int:
    """The first place from `at` on under `end` where the speed stops falling; the end of what was seen if none."""
    n = len(speed)
    while at < n and not np.isnan(speed[at]) and not (speed[at] < end and (at + 1 >= n or speed[at + 1] >= speed[at])):
        at += 1
    return at
