from __future__ import annotations

import numpy as np
import pytest

from regard.errors import DegenerateError, LayoutError
from regard.gaze.events import agreement, microsaccades, samples
from regard.gaze.events.samples import FIXATION, NOTHING, SACCADE

from .tools import recording


@pytest.mark.parametrize("seed", range(3))
def test_equals_the_formula_and_finds_saccades(seed: int) -> None:
    eye, truth = recording(seed)
    labels = microsaccades(eye)
    assert agreement(labels == SACCADE, truth == SACCADE) > 0.8
    assert ((labels == NOTHING) == ~eye.seen).all()
    x, dt = eye.degrees, 1 / 500
    v = np.array([(x[i + 2] + x[i + 1] - x[i - 1] - x[i - 2]) / (6 * dt) for i in range(2, len(x) - 2)])
    known = v[np.isfinite(v).all(1)]
    eta = [6 * np.sqrt(np.median(k**2) - np.median(k) ** 2) for k in known.T]
    fast = [((one / eta) ** 2).sum() > 1 for one in v]
    long = microsaccades(eye, shortest=0.0)[2:-2]
    assert ((long == SACCADE) == (np.array(fast) & eye.seen[2:-2])).all()


def test_small_ones_are_found_under_the_reach_of_a_fixed_threshold() -> None:
    """Half a degree among noise of a hundredth."""
    rng = np.random.default_rng(1)
    x = np.concatenate([np.zeros(200), np.linspace(0, 0.5, 9), np.full(200, 0.5)])
    eye = samples(np.arange(409) / 500, np.stack([x, 0 * x], 1) + rng.normal(0, 0.01, (409, 2)), per_degree=1.0)
    labels = microsaccades(eye)
    assert (labels[200:209] == SACCADE).mean() > 0.8
    assert (labels[:190] == FIXATION).all()


def test_refusals() -> None:
    eye, _ = recording()
    with pytest.raises(LayoutError, match="times=0"):
        microsaccades(eye, times=0.0)
    with pytest.raises(DegenerateError, match="does not move"):
        microsaccades(samples(eye.time, np.ones((len(eye), 2)), per_degree=1.0))
    holes = np.where(np.arange(len(eye)) % 2 == 0, np.nan, 1.0)[:, None] * eye.xy
    with pytest.raises(DegenerateError, match="no five samples"):
        microsaccades(samples(eye.time, holes, per_degree=30.0))
