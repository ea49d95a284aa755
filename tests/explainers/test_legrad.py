from __future__ import annotations

import pytest
import torch

from regard.errors import CallError
from regard.testing.planted import PlantedViT, planted_pictures

from .matrices import gradient_of
from .models import explained, values

X = planted_pictures([(2, 5), (6, 6)], dtype=torch.float64)


@pytest.mark.parametrize("layers", [1, 2])
def test_is_the_positive_gradient_of_each_layers_own_score(layers: int) -> None:
    model = PlantedViT(seed=2).double()
    wanted = torch.zeros(2, 64, dtype=torch.float64)
    for depth in (2, 1)[:layers]:
        gradient = gradient_of(model, X, depth=depth)[-1]
        wanted += gradient.clamp_min(0).mean((1, 2))[:, 1:]
    got = explained(model, X, "legrad", layers=layers)
    torch.testing.assert_close(values(got).flatten(1), wanted)
    assert got.forwards == 2 * (2 + layers), "the target, the layers' grid, each layer"


def test_the_planted_fault_the_last_layers_score_for_all() -> None:
    model = PlantedViT(seed=2).double()
    wrong = sum(g.clamp_min(0).mean((1, 2))[:, 1:] for g in gradient_of(model, X))
    assert (values(explained(model, X, "legrad")).flatten(1) - wrong).abs().max() > 1e-3


def test_refusals() -> None:
    with pytest.raises(CallError, match="3 layers: 2 lie on a grid"):
        explained(PlantedViT().double(), X, "legrad", layers=3)
