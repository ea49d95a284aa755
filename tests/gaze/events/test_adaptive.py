from __future__ import annotations

import numpy as np
import pytest

from regard.errors import DegenerateError, LayoutError
from regard.gaze.events import adaptive, agreement, samples
from regard.gaze.events.adaptive import thresholds
from regard.gaze.events.samples import FIXATION, GLISSADE, NOTHING, SACCADE, runs

from .tools import recording


@pytest.mark.parametrize("noise", [0.005, 0.02, 0.04])
def test_one_setting_for_quiet_and_noisy_recordings(noise: float) -> None:
    """Every saccade is found once, none is made up, over four seeds."""
    for seed in range(4):
        eye, truth = recording(seed, noise=noise, blinks=False)
        labels = adaptive(eye)
        assert agreement(labels == SACCADE, truth == SACCADE) > 0.6
        true = [(a, b) for k, a, b in runs(truth) if k == SACCADE]
        found = [(a, b) for k, a, b in runs(labels) if k == SACCADE]
        assert all(sum(a < d and c < b for c, d in found) == 1 for a, b in true)
        assert all(any(a < d and c < b for a, b in true) for c, d in found)


def test_the_threshold_follows_the_noise_and_stands_blinks() -> None:
    peaks = [thresholds(recording(1, noise=n, blinks=False)[0].speed(), 100.0, robust=True)[0] for n in (0.005, 0.02)]
    assert peaks[1] > 2 * peaks[0]
    eye, _ = recording(2)
    labels = adaptive(eye)
    assert (labels[~eye.seen] == NOTHING).all()
    assert (labels == FIXATION).mean() > 0.6


def test_thresholds_by_a_plain_loop() -> None:
    speed = np.abs(np.random.default_rng(0).normal(10, 4, 400))
    speed[::40] = 300.0
    peak = 100.0
    for _ in range(50):
        slow = speed[speed < peak]
        peak = slow.mean() + 6 * slow.std()
    got = thresholds(speed, 100.0)
    assert got[0] == pytest.approx(peak, abs=1.0)
    assert got[1] < got[0]
    with pytest.raises(DegenerateError, match="check per_degree"):
        thresholds(speed + 200, 100.0)


def test_an_overshoot_is_a_glissade() -> None:
    """After a saccade of ten degrees the eye swings back by one within 20 ms."""
    rng = np.random.default_rng(0)
    still, step = np.zeros(120), (1 - np.cos(np.pi * np.arange(1, 21) / 21)) / 2
    x = np.concatenate([still, 10 * step, 10 - (1 - np.cos(np.pi * np.arange(1, 9) / 9)) / 2, np.full(120, 9.0)])
    eye = samples(np.arange(len(x)) / 500, np.stack([x, 0 * x], 1) + rng.normal(0, 0.004, (len(x), 2)), per_degree=1.0)
    found = [k for k, *_ in runs(adaptive(eye, start=60.0)) if k != NOTHING]
    assert found[0] == found[-1] == FIXATION
    assert SACCADE in found
    swing = adaptive(eye)[141:150]
    assert np.isin(swing, (SACCADE, GLISSADE)).mean() > 0.6
    with pytest.raises(LayoutError, match="start=0"):
        adaptive(eye, start=0.0)
