from __future__ import annotations

from functools import partial

import pytest
import torch

import regard as rg

from .regions import MODEL, SPOT, X, as_map, random_map, region


def score(values: torch.Tensor, **options: str) -> rg.Score:
    metric = partial(rg.metrics.energy_in_mask, **options)
    return rg.score(as_map(values), MODEL, X, metric=metric, region=region())


@pytest.mark.parametrize("sign", ["positive", "absolute"])
def test_it_is_the_share_of_upsampled_mass(sign: str) -> None:
    values = random_map(3)
    full = values.repeat_interleave(4, 0).repeat_interleave(4, 1)
    mass = full.clamp_min(0) if sign == "positive" else full.abs()
    assert score(values, sign=sign).value == pytest.approx(float(mass[region()].sum() / mass.sum()))


def test_own_mask_constant_map_and_no_mass() -> None:
    own = torch.zeros(8, 8, dtype=torch.float64)
    own[SPOT] = 1
    best = score(own)
    assert best.value == 1
    assert best.p == pytest.approx((1 + float((best.null == 1).sum())) / 100)
    assert score(torch.ones(8, 8, dtype=torch.float64)).value == pytest.approx(1 / 64)
    assert score(-own).value == 0
    assert "0.016 of the picture; a centre reaches" in best.convention
