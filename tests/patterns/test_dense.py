from __future__ import annotations

import regard as rg

from .pairs import check


def test_every_pair_of_any_two_spaces() -> None:
    for spaces in [(5,), ((2, 3),), (rg.Grid(2, 3, prefix=2),), ((2, 3), (4, 2)), ((2, 3), 5), (3, (2, 2, 2))]:
        body = check(rg.patterns.dense(*spaces), lambda i, j: True)
        assert body.all()
    assert rg.patterns.dense((2, 3), 5).boxes is None
