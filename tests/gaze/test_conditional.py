from __future__ import annotations

import math

import numpy as np
import pytest

from regard.errors import DegenerateError, LayoutError
from regard.gaze.conditional import conditional
from regard.gaze.data import Scanpath

RNG = np.random.default_rng(0)
MAPS = np.round(RNG.random((5, 6, 8)) ** 2, 1)  # with ties
MAPS[3] = 0.5
PATH = Scanpath([[0.2, 0.9], [7.9, 5.9], [3.0, 2.5], [1.0, 1.0], [4.4, 4.4]], [0.2] * 5)


def test_each_fixation_by_hand() -> None:
    got = conditional(MAPS, PATH)
    for i, (x, y) in enumerate(PATH.xy.tolist()):
        hit = MAPS[i, int(y), int(x)]
        others = [MAPS[i, r, c] for r in range(6) for c in range(8) if (r, c) != (int(y), int(x))]
        assert got["cAUC"][i] == pytest.approx(np.mean([o < hit for o in others]))
        spread = MAPS[i].std()
        assert got["cNSS"][i] == pytest.approx((hit - MAPS[i].mean()) / spread if spread > 1e-9 else 0.0)
    assert got["cAUC"][3] == 0  # a flat map tells nothing, so all its ties count against it


def test_bits_over_a_baseline() -> None:
    p, q = (a / a.sum((-2, -1), keepdims=True) for a in (MAPS + 0.01, np.ones((6, 8))))
    got = conditional(p, PATH, baseline=q)["cIG"]
    assert got == pytest.approx([math.log2(p[i, int(y), int(x)] * 48) for i, (x, y) in enumerate(PATH.xy)])
    for wrong in ({"baseline": q * 2}, {"baseline": -q}):
        with pytest.raises(DegenerateError, match="the baseline is no density"):
            conditional(p, PATH, **wrong)
    with pytest.raises(DegenerateError, match="a map is no density"):
        conditional(MAPS, PATH, baseline=q)


def test_blinks_and_places_outside_are_nan_and_the_rest_is_scored() -> None:
    xy = PATH.xy.copy()
    xy[0], xy[2] = np.nan, (8.0, 2.0)  # one pixel too far to the right
    got = conditional(MAPS, Scanpath(xy, PATH.duration))
    for name, values in conditional(MAPS, PATH).items():
        assert np.isnan(got[name][[0, 2]]).all()
        assert np.array_equal(got[name][[1, 3, 4]], values[[1, 3, 4]])


def test_refusals() -> None:
    with pytest.raises(LayoutError, match="for 5 fixations"):
        conditional(MAPS[:3], PATH)
    with pytest.raises(DegenerateError, match="no fixation lies inside"):
        conditional(MAPS, Scanpath(PATH.xy + 900, PATH.duration))
    with pytest.raises(DegenerateError, match="NaN or infinite"):
        conditional(np.where(MAPS.max() == MAPS, np.nan, MAPS), PATH)
