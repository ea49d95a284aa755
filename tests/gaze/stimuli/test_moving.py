from __future__ import annotations

import numpy as np
import pytest

from regard.errors import LayoutError
from regard.gaze.stimuli import moving


def test_only_the_target_moves_and_by_so_much() -> None:
    clip = moving(frames=4, speed=2.0, seed=1)
    still = [one.distractors for one in clip]
    assert all((one == still[0]).all() for one in still)
    centre = np.array([one.target.nonzero().double().mean(0).numpy() for one in clip])
    steps = np.linalg.norm(np.diff(centre, axis=0), axis=1)
    assert (steps > 0.5).all()
    assert np.median(steps) == pytest.approx(2.0, abs=0.5)
    left, top, right, bottom = clip[0].box
    for one in clip:
        assert one.target[top:bottom, left:right].sum() == one.target.sum() > 0


def test_among_others_that_move() -> None:
    clip = moving(frames=3, speed=0.0, among=3.0, seed=2)
    assert (clip[0].target == clip[2].target).all()
    assert (clip[0].distractors != clip[2].distractors).any()
    with pytest.raises(LayoutError, match="quarter cell"):
        moving(speed=9.0)
