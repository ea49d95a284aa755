"""Bad recordings, each with its stated outcome: what is dropped, what is NaN, what is refused and with which words."""

from __future__ import annotations

import numpy as np
import pytest

import regard as rg
from regard.errors import DegenerateError, LayoutError

SIZE = (40, 60)


def seen(**changes) -> rg.gaze.Fixations:
    rng = np.random.default_rng(0)
    given = {
        "xy": rng.normal([40, 20], 4, (30, 2)),
        "duration": np.full(30, 0.2),
        "observer": [str(i % 3) for i in range(30)],
        "size": SIZE,
        "per_degree": 4.0,
    }
    return rg.gaze.Fixations(**(given | changes))


HEAT = rg.Map(np.random.default_rng(1).random((1, *SIZE)), rg.Grid(*SIZE), "noise")


def test_unseen_and_outside_fixations_are_dropped_and_change_no_score() -> None:
    """Blinks are NaN; a place exactly on the right edge is outside, as pixels reach from x to x + 1."""
    clean = seen()
    bad = [[np.nan, 3.0], [np.nan, np.nan], [60.0, 10.0], [-0.1, 10.0], [5.0, 40.0]]
    both = seen(
        xy=np.concatenate([clean.xy, bad]), duration=np.full(35, 0.2), observer=[*clean.observer.tolist(), *"01201"]
    )
    assert len(both.inside()) == 30
    assert rg.gaze.score(HEAT, both).rows == rg.gaze.score(HEAT, clean).rows


def test_an_observer_of_whom_nothing_is_left_does_not_count() -> None:
    clean = seen()
    more = seen(
        xy=np.concatenate([clean.xy, [[900.0, 900.0]]]),
        duration=np.full(31, 0.2),
        observer=[*clean.observer.tolist(), "blind"],
    )
    assert rg.gaze.ceiling(more).rows == rg.gaze.ceiling(clean).rows


def test_one_fixation_is_scored_without_an_interval_and_without_people() -> None:
    alone = seen(xy=[[40.0, 20.0]], duration=[0.2], observer="0")
    table = rg.gaze.score(HEAT, alone)
    assert np.isfinite(table.column("value")).all()
    assert set(table.column("low")) == set(table.column("people")) == {None}
    path = alone.paths()[0]
    assert rg.gaze.compare(path, path, "fdiss") == {"fdiss": 1.0}
    with pytest.raises(DegenerateError, match="a scanpath of 1 fixations"):
        rg.gaze.compare(path, path)  # MultiMatch compares saccades


def test_nothing_and_everything_outside_is_refused() -> None:
    for xy in (np.zeros((0, 2)), [[900.0, 900.0]], [[np.nan, np.nan]]):
        n = len(xy)
        with pytest.raises((DegenerateError, LayoutError)):
            rg.gaze.score(HEAT, seen(xy=xy, duration=np.full(n, 0.2), observer=["0"] * n))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"duration": np.full(30, 200.0)}, "are they milliseconds"),
        ({"duration": np.full(30, -0.2)}, "none negative"),
        ({"per_degree": 0.0}, "pixels of one degree"),
        ({"xy": np.zeros((2, 30))}, r"positions are \[n, 2\]"),
        ({"observer": ["a"] * 29}, "29 names of observers for 30"),
    ],
)
def test_wrong_units_and_shapes_are_told(changes, text: str) -> None:
    with pytest.raises(LayoutError, match=text):
        seen(**changes)


def test_degrees_taken_for_pixels_lie_in_one_corner_and_cannot_be_told() -> None:
    """Stated, not solved: positions carry no unit, so only the scores show it."""
    clean = seen()
    wrong = seen(xy=clean.xy / 4)
    assert (wrong.xy < 16).all()
    assert len(wrong.inside()) == 30
