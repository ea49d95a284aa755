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
        assert spread(a, b) <= 0.7 or spread(a, (a + b) // 2) <= 0.7  # two that touch are one run here
        if b < len(eye) and eye.seen[b] and spread(a, b) <= 0.7:
            assert spread(a, b + 1) > 0.7
    with pytest.raises(LayoutError, match="dispersion=0"):
        idt(eye, dispersion=0.0)
