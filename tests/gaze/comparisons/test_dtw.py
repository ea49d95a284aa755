from __future__ import annotations

import pytest
import torch

from regard.gaze.comparisons import dtw
from regard.gaze.comparisons._shared import apart

from .tools import drawn, walks


def test_the_cheapest_of_all_warpings() -> None:
    for seed in range(4):
        one, two = drawn(seed)
        d = apart(one, two)
        want = min(sum(float(d[c]) for c in way) for way in walks(5, 4))
        assert float(dtw(one, two)) == pytest.approx(want)
        assert float(dtw(one, two, per_fixation=True)) == pytest.approx(want / 5)
        assert torch.isclose(dtw(one, two), dtw(two, one))
