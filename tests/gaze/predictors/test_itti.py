from __future__ import annotations

import pytest
import torch

from regard.gaze.predictors import itti
from regard.gaze.predictors.itti import _other_peaks, _promoted

from .tools import pops_out


def test_promotion_favours_one_peak() -> None:
    one, many = torch.zeros(2, 1, 1, 20, 20)
    one[..., 5, 5] = 2.0
    for row in range(2, 20, 5):
        many[..., row, 2::5] = 2.0
    many[..., 2, 2] = 2.2
    assert float(_other_peaks(many / 2.2)) == pytest.approx(2 / 2.2)
    assert float(_promoted(one, "peaks", 0).max()) == 1
    assert float(_promoted(many, "peaks", 0).max()) == pytest.approx((1 - 2 / 2.2) ** 2)
    iterated = [float(_promoted(m, "iterative", 5).max()) for m in (one, many)]
    assert iterated[0] > 1.1 * iterated[1]  # a lone peak ends higher than the highest of many


@pytest.mark.parametrize("kind", ["colour", "size"])
def test_singletons_pop_out(kind: str) -> None:
    assert pops_out(itti, kind, range(3)) == 1
    assert pops_out(lambda x: itti(x, rectified=True), kind, range(3)) == 1


def test_flat_pictures_give_nothing() -> None:
    assert itti(torch.full((1, 3, 40, 50), 0.3)).values.abs().max() < 1e-6
