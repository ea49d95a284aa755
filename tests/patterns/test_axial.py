from __future__ import annotations

import pytest

import regard as rg
from regard.errors import LayoutError

from .pairs import check


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_one_line(axis: int) -> None:
    check(
        rg.patterns.axial((2, 3, 4), axis),
        lambda i, j: all(a == b for at, (a, b) in enumerate(zip(i, j, strict=True)) if at != axis % 3),
    )
    assert rg.patterns.axial((5, 6), 1) == rg.patterns.neighborhood((5, 6), (1, 6))  # 16
    assert rg.patterns.axial(5) == rg.patterns.dense(5)


def test_rows_then_columns_reach_everything() -> None:
    row, column = (rg.patterns.axial((4, 5), at).mask().float() for at in (1, 0))
    assert (row @ column).all()


def test_refusal() -> None:
    with pytest.raises(LayoutError, match="no axis 2 in space 4x5"):
        rg.patterns.axial((4, 5), 2)
