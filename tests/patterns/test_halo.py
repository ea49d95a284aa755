from __future__ import annotations

import pytest

import regard as rg
from regard.errors import LayoutError

from .pairs import check


def test_block_and_ring() -> None:
    def slow(i: tuple[int, ...], j: tuple[int, ...]) -> bool:
        return all(a // 3 * 3 - 2 <= b < a // 3 * 3 + 5 for a, b in zip(i, j, strict=True))

    check(rg.patterns.halo((6, 9), 3, 2), slow)
    check(rg.patterns.halo((7, 5), 3, 2), slow)


def test_identities() -> None:
    assert rg.patterns.halo((6, 6), 3, 0) == rg.patterns.window((6, 6), 3)  # 9
    assert rg.patterns.halo((6, 6), 3, 6) == rg.patterns.dense((6, 6))
    strided = rg.patterns.neighborhood(12, 7, stride=3).mask()  # 6: inside, where no halo is cut off
    assert strided[3:9].equal(rg.patterns.halo(12, 3, 2).mask()[3:9])
    assert not strided[:3].equal(rg.patterns.halo(12, 3, 2).mask()[:3])


def test_refusal() -> None:
    with pytest.raises(LayoutError, match="halo = -1; it is at least 0"):
        rg.patterns.halo((6, 6), 3, -1)
