from __future__ import annotations

from functools import partial

import pytest
import torch

import regard as rg
from regard.errors import LayoutError

from .regions import MODEL, SPOT, X, as_map, region


def hit(spot: tuple[int, int], tolerance: float) -> rg.Score:
    values = torch.zeros(8, 8, dtype=torch.float64)
    values[spot] = 1
    metric = partial(rg.metrics.pointing_game, tolerance=tolerance)
    return rg.score(as_map(values), MODEL, X, metric=metric, region=region())


@pytest.mark.parametrize("tolerance", [0.0, 4.0, 7.0])
def test_a_peak_hits_within_the_tolerance(tolerance: float) -> None:
    ys, xs = region().nonzero().T
    for spot in ((2, 5), (2, 6), (3, 6), (4, 5), (7, 0)):
        y, x = (4 * s + 2 for s in spot)
        near = bool((((ys - y) ** 2 + (xs - x) ** 2).double().sqrt() <= tolerance).any())
        assert hit(spot, tolerance).value == float(near)


def test_the_baselines_are_told() -> None:
    got = hit(SPOT, 0.0)
    assert got.convention == "tolerance 0 px; a random peak hits 0.016, the centre misses"
    assert got.p == pytest.approx((1 + got.null.sum()) / 100)
    with pytest.raises(LayoutError, match="tolerance of -1"):
        hit(SPOT, -1.0)
