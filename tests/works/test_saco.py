"""saco works: the true attribution of an additive model, its reverse, random maps, the pair loop, positive scale."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard as rg
from regard.testing.marks import works

GRID = rg.Grid(6, 10)


class Cells(nn.Module):
    """The logit of class 1 is a weighted sum of the cells' mean brightness."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        s = F.adaptive_avg_pool2d(x[:, :1], (GRID.h, GRID.w)).flatten(1) @ self.weights
        return torch.stack([0 * s, s], 1)


def as_map(values: torch.Tensor) -> rg.Map:
    return rg.Map(values.view(1, GRID.h, GRID.w).numpy(), GRID, "given", target_index=(1,))


def pair_loop(saliences: list[float], losses: list[float]) -> float:
    f = size = 0.0
    for i in range(len(saliences)):
        for j in range(i + 1, len(saliences)):
            weight = saliences[i] - saliences[j]
            f += weight if losses[i] >= losses[j] else -weight
            size += abs(weight)
    return f / size


@works("saco")
def test_additive_model_reverse_random_and_scale() -> None:
    """1 for the true attribution, -1 reversed, mean of 60 random maps within 3 standard errors of 0, the pair loop to
    rounding, invariant to positive scale; three seeds."""
    for seed in range(3):
        g = torch.Generator().manual_seed(seed)
        model = Cells(torch.randn(GRID.patches, generator=g, dtype=torch.float64))
        x = torch.rand(1, 3, 24, 40, generator=g, dtype=torch.float64)
        cells = F.adaptive_avg_pool2d(x[:, :1], (GRID.h, GRID.w)).flatten()
        true = model.weights * (cells - x[:, :1].mean())
        bank = rg.masks(model, x, as_map(true), baseline="mean", seed=seed)

        def saco(values: torch.Tensor, on: tuple[nn.Module, torch.Tensor] = (model, x), bank: object = bank) -> float:
            return rg.score(as_map(values), *on, metric="saco", bank=bank).value  # type: ignore[arg-type]

        assert saco(true) == pytest.approx(1)
        assert saco(-true) == pytest.approx(-1)
        drawn = [torch.randn(GRID.patches, generator=g, dtype=torch.float64) for _ in range(60)]
        found = np.array([saco(values) for values in drawn])
        assert abs(found.mean()) < 3 * found.std(ddof=1) / 60**0.5
        assert 0.2 < found.std() < 0.6  # one map says little
        for values, value in zip(drawn[:10], found[:10], strict=True):
            groups = values.argsort(descending=True).tensor_split(10)
            slow = pair_loop([float(values[i].sum()) for i in groups], [float(true[i].sum()) for i in groups])
            assert value == pytest.approx(slow)
            assert saco(7 * values) == pytest.approx(value)
