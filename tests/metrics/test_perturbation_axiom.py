from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

import regard as rg
from regard.errors import LayoutError

from .additive import GRID, as_map, make, removal_curve


def scored(values: torch.Tensor, epsilon: float = 0.5, seed: int = 0) -> rg.Score:
    model, x, _ = make(seed)
    return rg.score(as_map(values), model, x, metric=partial(rg.metrics.perturbation_axiom, epsilon=epsilon))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_is_the_share_of_losses_cell_by_cell(seed: int) -> None:
    model, x, contributions = make(seed)
    whole, *_ = removal_curve(model, x, torch.arange(12), [0])
    lost = torch.tensor([whole - removal_curve(model, x, torch.tensor([i]), [1])[0] for i in range(12)])
    torch.testing.assert_close(lost, contributions.float())
    values = torch.randn(12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    for epsilon in (0.1, 0.5, 1.0):
        held = total = 0.0
        for i in range(12):
            d = float(contributions[i] / contributions.abs().sum())
            if d > 0:
                total += d
                held += d * (float(values[i] / values.abs().sum()) >= epsilon * d)
        assert scored(values, epsilon, seed).value == pytest.approx(held / total)
    assert scored(contributions, 0.999, seed).value == 1
    assert scored(contributions, 1.5, seed).value == 0
    assert scored(3 * contributions, seed=seed).value == 1
    assert scored(contributions, seed=seed).forwards == 1 + GRID.patches


def test_a_cell_that_matters_and_gets_nothing_is_seen() -> None:
    contributions = make()[2].clone()
    most = contributions.argmax()
    share = float(contributions[most] / contributions.clamp_min(0).sum())
    contributions[most] = 0
    assert scored(contributions).value == pytest.approx(1 - share)


def test_integrated_gradients_from_black_overlook_a_black_object() -> None:
    class Dark(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            s = 4 - 8 * x[:, :, 8:16, 8:16].mean((1, 2, 3))
            return torch.stack([-s, s], 1)

    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, :, 8:16, 8:16] = 0
    axiom = partial(rg.score, model=Dark(), x=x, metric="perturbation_axiom")
    found = {}
    for b in ("black", "white"):
        way = partial(rg.explainers.integrated_gradients, baseline=b, steps=8)
        found[b] = axiom(rg.explain(Dark(), x, method=way, target=1))
    assert found["black"].value == 0
    assert found["white"].value > 0.8


def test_an_epsilon_of_nothing_is_refused() -> None:
    with pytest.raises(LayoutError, match=r"epsilon 0\.0"):
        scored(make()[2], 0.0)
