from __future__ import annotations

import pytest

import regard as rg
from regard.errors import LayoutError

from .pairs import check


def test_so_many_different_keys_all_equally_likely() -> None:
    body = check(rg.patterns.random((10, 40), 20, keys=50))
    assert (body.sum(-1) == 20).all()
    often = body.float().mean(0)  # of 400 queries each key is drawn by 40 % give or take 2.4 %
    assert float((often - 0.4).abs().max()) < 0.12
    assert rg.patterns.random(9, 3) == rg.patterns.random(9, 3) != rg.patterns.random(9, 3, seed=1)
    assert rg.patterns.random(9, 9).mask().all()


def test_refusal() -> None:
    with pytest.raises(LayoutError, match="number = 10 of 9 keys"):
        rg.patterns.random(9, 10)
