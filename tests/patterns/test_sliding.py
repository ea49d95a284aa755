from __future__ import annotations

import pytest

import regard as rg
from regard.errors import LayoutError

from .pairs import check


def test_so_far_before_and_after() -> None:
    check(rg.patterns.sliding((5, 7), (1, 2), (0, 9)), lambda i, j: 0 <= i[0] - j[0] <= 1 and -9 <= i[1] - j[1] <= 2)
    near, cut = rg.patterns.neighborhood(12, 5).mask(), rg.patterns.sliding(12, 2).mask()
    assert near[2:10].equal(cut[2:10])  # 22: the same inside
    assert not near[:2].equal(cut[:2])


def test_refusal() -> None:
    with pytest.raises(LayoutError, match="before = -1; it is at least 0"):
        rg.patterns.sliding(4, -1)
