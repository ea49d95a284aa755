from __future__ import annotations

import pytest

from regard.gaze.comparisons import levenshtein
from regard.gaze.comparisons._shared import symbols

from .tools import SIZE, drawn


def fewest(a: list[list[int]], b: list[list[int]]) -> int:
    if not a or not b:
        return len(a) + len(b)
    return min(fewest(a[1:], b) + 1, fewest(a, b[1:]) + 1, fewest(a[1:], b[1:]) + (a[0] != b[0]))


def test_the_fewest_of_all_edits() -> None:
    for seed in range(8):
        one, two = drawn(seed)
        two[1:3] = one[2:4]
        a, b = (symbols(p, SIZE, (3, 2)).tolist() for p in (one, two))
        assert float(levenshtein(one, two, SIZE, cells=(3, 2))) == pytest.approx(fewest(a, b) / 5)
    assert float(levenshtein(one, one, SIZE)) == 0
