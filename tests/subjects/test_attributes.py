from __future__ import annotations

import numpy as np
import pytest
import torch

import regard as rg
from regard.errors import LayoutError
from regard.subjects.attributes import rank_attributes

HEAT = rg.Map(np.random.default_rng(0).normal(size=(2, 3, 5)), rg.Grid(3, 5), "sane")
MAPS = torch.rand(4, 3, 5, generator=torch.Generator().manual_seed(0))
SURE = torch.tensor([0.9, 0.2, 0.6, 0.5])
NAMES = ("a", "b", "c", "d")


@pytest.mark.parametrize("prior", [0.0, 1.0, 2.0])
def test_scores_are_cosines_by_hand_times_confidence(prior: float) -> None:
    made = rank_attributes(HEAT, MAPS, SURE, NAMES, prior=prior, index=1)
    heat = HEAT.values[1].clip(min=0).ravel()
    wanted = {}
    for name, one, sure in zip(NAMES, MAPS.double().numpy(), SURE.double().numpy(), strict=True):
        wanted[name] = one.ravel() @ heat / np.linalg.norm(one) / np.linalg.norm(heat) * sure**prior
    assert made.column("attribute") == sorted(wanted, key=lambda name: -wanted[name])
    np.testing.assert_allclose(made.column("score"), sorted(wanted.values(), reverse=True), rtol=1e-7)


def test_activation_maps_of_another_size_are_averaged_on_the_maps_cells() -> None:
    fine = MAPS.repeat_interleave(4, 1).repeat_interleave(2, 2)
    assert rank_attributes(HEAT, fine, SURE, NAMES).column("match") == pytest.approx(
        rank_attributes(HEAT, MAPS, SURE, NAMES).column("match")
    )


def test_refusals() -> None:
    with pytest.raises(LayoutError, match="4 confidences and 3 names"):
        rank_attributes(HEAT, MAPS, SURE, NAMES[:3])
    with pytest.raises(LayoutError, match=r"confidences from 0\.9 to 1\.8"):
        rank_attributes(HEAT, MAPS[:2], SURE[[0, 0]] * torch.tensor([1.0, 2.0]), NAMES[:2])
