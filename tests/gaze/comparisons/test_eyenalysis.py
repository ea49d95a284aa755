from __future__ import annotations

import numpy as np
import pytest

from regard.gaze.comparisons import eyenalysis

from .tools import drawn


def test_double_nearest_neighbours_without_order() -> None:
    one, two = drawn(2)
    a, b = one[:, :2].numpy(), two[:, :2].numpy()
    want = sum(min(np.linalg.norm(p - q) for q in b) for p in a) + sum(min(np.linalg.norm(p - q) for q in a) for p in b)
    assert float(eyenalysis(one, two)) == pytest.approx(want / 5)
    assert float(eyenalysis(one.flip(0), two)) == pytest.approx(want / 5)
