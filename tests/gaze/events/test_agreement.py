from __future__ import annotations

import numpy as np
import pytest

from regard.errors import DegenerateError, LayoutError
from regard.gaze.events import agreement


def test_equals_its_formula() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 4, (2, 300))
    b[:150] = a[:150]
    table = np.zeros((4, 4))
    for i, j in zip(a, b, strict=True):
        table[i, j] += 1 / 300
    chance = (table.sum(0) * table.sum(1)).sum()
    assert agreement(a, b) == pytest.approx((np.trace(table) - chance) / (1 - chance))
    assert agreement(a, b, kind=2) == agreement(a == 2, b == 2)
    assert agreement(a, a) == 1
    assert abs(agreement(a, rng.permutation(a))) < 0.1


def test_refusals() -> None:
    with pytest.raises(DegenerateError, match="one label"):
        agreement([1, 1], [1, 1])
    with pytest.raises(LayoutError, match=r"labels \[2\] and \[3\]"):
        agreement([1, 1], [1, 1, 2])
