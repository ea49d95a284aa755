from __future__ import annotations

import pytest

from regard.gaze.comparisons import dtw, frechet
from regard.gaze.comparisons._shared import apart

from .tools import drawn, walks


def test_the_shortest_leash_of_all() -> None:
    for seed in range(4):
        one, two = drawn(seed)
        d = apart(one, two)
        assert float(frechet(one, two)) == pytest.approx(min(max(float(d[c]) for c in way) for way in walks(5, 4)))
        assert float(frechet(one, two)) < float(dtw(one, two))
