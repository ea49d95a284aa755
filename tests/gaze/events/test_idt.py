from __future__ import annotations

import numpy as np
import pytest

from regard.errors import LayoutError
from regard.gaze.events import agreement, idt
from regard.gaze.events.samples import FIXATION, NOTHING, runs

from .tools import recording


@pytest.mark.parametrize("seed", range(4))
def test_finds_known_fixations(seed: int) -> None:
    eye, truth = recording(seed, blinks=False)
    labels = idt(eye, dispersion=0.5)
    assert agreement(labels == FIXATION, truth == FIXATION) > 0.8


def test_what_is_found_is_together_long_and_cannot_grow() -> None:
    eye, _ = recording(5)
    labels = idt(eye, dispersion=0.7, shortest=0.08)
    assert (labels[~eye.seen] == NOTHING).all()

    def spread(a: int, b: int) -> float:
        return float(np.ptp(eye.degrees[a:b], axis=0).sum())

    found = [(a, b) for label, a, b in runs(labels) if label == FIXATION]
    assert len(found) > 8
    for a, b in found:
        assert b - a >= 40
        assert spread(a, b) <= 0.7
        if b < len(eye) and eye.seen[b] and spread(a, b) <= 0.7:
            assert spread(a, b + 1) > 0.7
    with pytest.raises(LayoutError, match="dispersion=0"):
        idt(eye, dispersion=0.0)


def test_fixations_that_follow_at_once_stay_apart() -> None:
    """A gaze that jumps between two samples: eight places, eight fixations."""
    from regard.gaze.events import fixations_of, samples

    places = np.repeat(np.arange(8) * 5.0, 18)
    eye = samples(np.arange(144) / 60, np.stack([places * 20, places * 0], 1), per_degree=20.0)
    found = fixations_of(eye, idt(eye))
    assert found.xy[:, 0].tolist() == [100.0 * i for i in range(8)]
