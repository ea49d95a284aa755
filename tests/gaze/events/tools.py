"""Recordings whose events are known: steps between places with bell-shaped speed, noise, and blinks."""

from __future__ import annotations

import numpy as np

from regard.gaze.events import samples
from regard.gaze.events.samples import FIXATION, NOTHING, SACCADE, Samples

PER_DEGREE = 30.0


def recording(
    seed: int = 0, *, rate: float = 500.0, noise: float = 0.02, blinks: bool = True, events: int = 12
) -> tuple[Samples, np.ndarray]:
    """Fixations of 0.15 to 0.4 s, saccades of 2 to 15 degrees at 250 degrees a second in the mean; true labels."""
    rng = np.random.default_rng(seed)
    at, xy, labels = rng.uniform(8, 20, 2), [], []
    for _ in range(events):
        n = int(rng.uniform(0.15, 0.4) * rate)
        xy.append(np.repeat(at[None], n, 0))
        labels += [FIXATION] * n
        angle, size = rng.uniform(0, 2 * np.pi), rng.uniform(2, 15)
        to = at + size * np.array([np.cos(angle), np.sin(angle)])
        n = max(6, int(size / 250 * rate))
        share = (1 - np.cos(np.pi * np.arange(1, n + 1) / (n + 1))) / 2
        xy.append(at + share[:, None] * (to - at))
        labels += [SACCADE] * n
        at = to
    places, truth = np.concatenate(xy), np.array(labels)
    places = places + rng.normal(0, noise, places.shape)
    if blinks:
        start = int(np.nonzero(truth == FIXATION)[0][20])
        for first in (start, len(places) // 2):
            places[first : first + int(0.08 * rate)] = np.nan
            truth[first : first + int(0.08 * rate)] = NOTHING
    return samples(np.arange(len(places)) / rate, places * PER_DEGREE, per_degree=PER_DEGREE), truth
