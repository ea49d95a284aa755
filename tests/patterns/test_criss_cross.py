from __future__ import annotations

import regard as rg

from .pairs import check


def test_row_and_column_and_itself_once() -> None:
    for axes in ((4, 5), (3, 4, 2), (6,)):
        pattern = rg.patterns.criss_cross(axes)
        check(pattern, lambda i, j: sum(a != b for a, b in zip(i, j, strict=True)) <= 1)
        assert pattern.boxes is not None
    body = rg.patterns.criss_cross((4, 5)).mask().float()
    assert (body.sum(-1) == 8).all()
    assert (body @ body).all()  # twice reaches every token
