"""The card of areas, against a walk along the fixations."""

from __future__ import annotations

import numpy as np
import pytest

from regard.errors import LayoutError
from regard.gaze.areas import ELSEWHERE, area_rows, labels_of, transitions
from regard.gaze.data import Fixations

EYES = Fixations(
    [[1, 1], [12, 2], [2, 2], [3, 3], [30, 30], [11, 1], [50, 50]],
    duration=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7],
    observer=["a"] * 5 + ["b"] * 2,
    size=(60, 60),
)
MASK = np.zeros((60, 60), dtype=bool)
MASK[25:40, 25:40] = True
AREAS = {"left": (0, 0, 10, 10), "right": (10, 0, 20, 10), "middle": MASK}


def test_labels_and_rows_by_hand() -> None:
    first, second = EYES.paths()
    assert labels_of(first, AREAS) == ["left", "right", "left", "left", "middle"]
    assert labels_of(second, AREAS) == ["right", ELSEWHERE]
    columns, rows = area_rows(EYES, AREAS)
    by = {row[0]: dict(zip(columns, row, strict=True)) for row in rows}
    left = {"area": "left", "fixations": 3, "dwell": 0.4, "share": 0.8 / 2.8, "first": 0.0}
    left |= {"seen by": 0.5, "visits": 1.0, "revisits": 0.5}
    assert by["left"] == pytest.approx(left)
    assert by["right"]["first"] == pytest.approx((0.1 + 0.0) / 2)
    assert by["middle"]["first"] == pytest.approx(1.0)
    assert sum(row[columns.index("share")] for row in rows) == pytest.approx(1)


def test_an_area_that_nobody_saw() -> None:
    _, rows = area_rows(EYES, {"far": (58, 58, 60, 60)})
    assert rows[0] == ("far", 0, 0.0, 0.0, None, 0.0, 0.0, 0.0)


def test_transitions() -> None:
    names, counts = transitions(EYES, AREAS)
    assert names == ("left", "right", "middle", ELSEWHERE)
    assert counts.tolist() == [[1, 1, 1, 0], [1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_refusals() -> None:
    with pytest.raises(LayoutError, match=r"the area 'x' is \(5, 0, 1, 9\)"):
        area_rows(EYES, {"x": (5, 0, 1, 9)})
