"""Winner take all: peaks in order, never twice while shut."""

from __future__ import annotations

import numpy as np
import pytest

from regard.errors import DegenerateError, LayoutError
from regard.gaze.winner import winners


def test_peaks_come_in_order_of_height() -> None:
    values = np.zeros((12, 16))
    peaks = [((2, 3), 5.0), ((9, 12), 4.0), ((2, 12), 3.0), ((9, 3), 2.0)]
    for (row, column), height in peaks:
        values[row, column] = height
        values[row, column + 1] = height - 0.5  # in the shadow of its peak
    path = winners(values, (120, 160), fixations=4, radius=0.2)
    assert path.xy.tolist() == [[10 * c + 5, 10 * r + 5] for (r, c), _ in peaks]


def test_distances_and_the_end() -> None:
    values = np.random.default_rng(0).random((30, 40))
    path = winners(values, (300, 400), fixations=500, radius=0.2)
    gaps = np.linalg.norm(path.xy[:, None] - path.xy, axis=2) + 1e9 * np.eye(len(path))
    assert gaps.min() > 60
    assert len(path) < 60  # all is shut before 500


def test_what_opens_again_is_looked_at_again() -> None:
    values = np.array([[3.0, 0.0, 0.0, 2.0]])
    path = winners(values, (10, 40), fixations=4, radius=0.5, return_after=1)
    assert path.xy[:, 0].tolist() == [5, 35, 5, 35]


def test_refusals() -> None:
    with pytest.raises(DegenerateError, match="constant or broken"):
        winners(np.ones((3, 3)), (3, 3))
    with pytest.raises(LayoutError, match="radius 2"):
        winners(np.eye(3), (3, 3), radius=2.0)
