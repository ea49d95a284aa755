"""Pieces, masses and centres by hand; two planted blobs keep their weights."""

import numpy as np
import pytest

from regard.errors import LayoutError
from regard.gaze.regions import regions


def test_two_blobs_keep_their_weights_and_places() -> None:
    y, x = np.mgrid[:60, :90]
    blobs = [(0.7, 20, 30), (0.3, 70, 15)]
    heat = sum(w * np.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * 3.0**2)) for w, a, b in blobs)
    found = regions(heat, share=0.9)
    assert len(found) == 2
    assert found[0].mass / found[1].mass == pytest.approx(7 / 3, rel=0.15)  # one level cuts more off the lower one
    assert found[0].centre == pytest.approx((20.5, 30.5), abs=0.05)
    assert sum(r.mass for r in found) == pytest.approx(0.9, abs=0.01)


def test_corners_touch_specks_are_left_out_and_boxes_end_outside() -> None:
    heat = np.zeros((5, 6))
    heat[0, 0] = heat[1, 1] = 1.0
    heat[4, 5] = 0.01
    (one,) = regions(heat, share=1.0)
    assert one.box == (0, 0, 2, 2)
    assert one.area == 2 / 30
    assert len(regions(heat, share=1.0, least=0.001)) == 2


def test_ties_at_the_level_stay_together() -> None:
    (one,) = regions(np.ones((3, 4)), share=0.5)
    assert one.mass == 1


@pytest.mark.parametrize(
    ("heat", "share"), [(np.ones(3), 0.5), (-np.ones((2, 2)), 0.5), (np.zeros((2, 2)), 0.5), (np.ones((2, 2)), 0.0)]
)
def test_what_is_no_map_is_refused(heat: np.ndarray, share: float) -> None:
    with pytest.raises(LayoutError, match="share="):
        regions(heat, share=share)
