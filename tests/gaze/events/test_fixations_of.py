from __future__ import annotations

import numpy as np
import pytest

from regard.errors import LayoutError
from regard.gaze.events import fixations_of, ivt, samples
from regard.gaze.events.samples import FIXATION, runs

from .tools import PER_DEGREE, recording


def test_rows_are_the_runs() -> None:
    eye, truth = recording(3)
    got = fixations_of(eye, truth, size=(900, 900), observer="ann", image="dog")
    rows = [(a, b) for k, a, b in runs(truth) if k == FIXATION]
    assert len(got) == len(rows)
    for i, (a, b) in enumerate(rows):
        assert np.allclose(got.xy[i], [eye.xy[a:b, 0].mean(), eye.xy[a:b, 1].mean()])
        assert got.duration[i] == pytest.approx((b - a) / 500)
    assert (got.observers, got.images, got.size, got.per_degree) == (["ann"], ["dog"], (900, 900), PER_DEGREE)


def test_detected_fixations_lie_where_people_looked() -> None:
    eye, truth = recording(4, blinks=False)
    want, got = fixations_of(eye, truth), fixations_of(eye, ivt(eye, shortest=0.05))
    assert len(got) == len(want)
    assert np.abs(got.degrees() - want.degrees()).max() < 0.1


def test_none_and_too_few_labels() -> None:
    eye, truth = recording()
    assert len(fixations_of(eye, truth * 0)) == 0
    with pytest.raises(LayoutError, match=r"labels \[1816\] for 1817 samples"):
        fixations_of(eye, truth[:-1])


def test_a_picture_beside_which_all_look_has_another_size() -> None:
    x = [5.0] * 10 + [50.0] + [90.0] * 10 + [50.0] + [95.0] * 10
    eye = samples(np.arange(32) / 100, [[v, 5.0] for v in x], per_degree=10.0)
    labels = np.array([1] * 10 + [2] + [1] * 10 + [2] + [1] * 10)
    assert len(fixations_of(eye, labels, size=(10, 92))) == 3  # one glance beside it is kept
    with pytest.raises(LayoutError, match=r"(?s)2 of 3 fixations lie outside 10 x 20 pixels.*\(height, width\)"):
        fixations_of(eye, labels, size=(10, 20))
