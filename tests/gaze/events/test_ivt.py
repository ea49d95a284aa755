from __future__ import annotations

import numpy as np
import pytest

from regard.errors import LayoutError
from regard.gaze.events import agreement, ivt
from regard.gaze.events.samples import FIXATION, NOTHING, SACCADE

from .tools import recording


@pytest.mark.parametrize("seed", range(4))
def test_finds_known_events_and_no_others(seed: int) -> None:
    eye, truth = recording(seed)
    labels = ivt(eye)
    assert agreement(labels == SACCADE, truth == SACCADE) > 0.85
    assert (labels[~eye.seen] == NOTHING).all()
    assert ((labels == FIXATION) == (eye.speed() < 45)).all()  # by definition


def test_short_fixations_are_dropped_and_units_matter() -> None:
    eye, _ = recording(1)
    assert not (ivt(eye, shortest=10.0) == FIXATION).any()
    far = type(eye)(eye.time, eye.xy, eye.per_degree * 20)  # pixels taken for a twentieth of a degree
    assert (ivt(far) == SACCADE).sum() < 0.3 * (ivt(eye) == SACCADE).sum()
    with pytest.raises(LayoutError, match="threshold=0"):
        ivt(eye, threshold=0.0)
    assert np.isin(ivt(eye), (NOTHING, FIXATION, SACCADE)).all()
