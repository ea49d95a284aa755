from __future__ import annotations

import numpy as np
import pytest

from regard.errors import DegenerateError, LayoutError
from regard.gaze.events import samples
from regard.gaze.events.samples import check_samples, checked_labels, runs, without_short

T = np.arange(50) / 100


def test_speed_is_that_of_a_straight_move_in_degrees() -> None:
    """3 and 4 degrees a second along the axes are 5, whatever the pixels of a degree; a fit of degree 2 is exact."""
    for per_degree in (10.0, 40.0):
        eye = samples(T, np.stack([3 * T, 4 * T], 1) * per_degree, per_degree=per_degree)
        assert np.allclose(eye.speed(window=0.07)[3:-3], 5)
        assert eye.rate == pytest.approx(100)
    bent = samples(T, np.stack([T**2, 0 * T], 1), per_degree=1.0)
    assert np.allclose(bent.velocity(window=0.07)[3:-3, 0], 2 * T[3:-3], atol=1e-9)


def test_unseen_samples_blind_their_neighbours_only() -> None:
    xy = np.stack([3 * T, 4 * T], 1)
    xy[20, 0] = np.nan  # one coordinate is enough
    eye = samples(T, xy, per_degree=1.0)
    assert not eye.seen[20]
    speed = eye.speed(window=0.07)
    assert np.isnan(speed[17:24]).all()
    assert np.allclose(np.delete(speed, slice(17, 24))[3:-3], 5)


def test_degrees_in_are_degrees_out() -> None:
    eye = samples(T, np.stack([T, T], 1), per_degree=25.0, degrees=True)
    assert np.allclose(eye.degrees[:, 0], T)
    assert np.allclose(eye.xy[:, 0], 25 * T)


@pytest.mark.parametrize(
    ("time", "xy", "kind", "text"),
    [
        (T * 1000, np.zeros((50, 2)), LayoutError, "divide milliseconds"),
        (T[::-1], np.zeros((50, 2)), LayoutError, "do not rise"),
        (np.where(T == 0.1, np.nan, T), np.zeros((50, 2)), LayoutError, "do not rise"),
        (np.delete(T, 9), np.zeros((49, 2)), LayoutError, "gap of 0.02 s"),
        (T, np.full((50, 2), np.nan), DegenerateError, "0 samples were seen"),
        (T[:2], np.zeros((2, 2)), DegenerateError, "2 samples"),
        (T, np.zeros((49, 2)), LayoutError, r"times \[50\]"),
    ],
)
def test_bad_recordings(time, xy, kind, text) -> None:
    with pytest.raises(kind, match=text):
        samples(time, xy, per_degree=30.0)


def test_bad_scale_short_recordings_and_runs() -> None:
    with pytest.raises(LayoutError, match="per_degree=0"):
        samples(T, np.zeros((50, 2)), per_degree=0.0)
    with pytest.raises(DegenerateError, match="5 samples, fits of 7"):
        samples(T[:5], np.zeros((5, 2)), per_degree=1.0).speed(window=0.07)
    labels = np.array([1, 1, 2, 1, 1, 1, 0])
    assert runs(labels) == [(1, 0, 2), (2, 2, 3), (1, 3, 6), (0, 6, 7)]
    assert without_short(labels, 1, 3).tolist() == [0, 0, 2, 1, 1, 1, 0]


def test_what_is_no_recording_is_told() -> None:
    eye = samples(np.arange(50) / 500, np.zeros((50, 2)), per_degree=30.0)
    assert repr(eye) == "Samples(50 at 500 a second, 100 % seen, 30 px a degree)"
    check_samples(eye)
    with pytest.raises(LayoutError, match=r"(?s)a recording is Samples, got ndarray.*samples\(time, xy"):
        check_samples(np.zeros((5, 2)))
    assert checked_labels(eye, [1] * 50).shape == (50,)
    with pytest.raises(LayoutError, match="no numbers"):
        samples(["a", "b", "c"], np.zeros((3, 2)), per_degree=30.0)
