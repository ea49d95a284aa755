"""A planted picture, the red patch as its region, and maps of it."""

from __future__ import annotations

import torch

import regard as rg
from regard.testing.planted import CELLS, PATCH, SIDE, PlantedCNN, planted_pictures

SPOT = (2, 5)
X = planted_pictures([SPOT])
MODEL = PlantedCNN()


def region(reach: int = 0) -> torch.Tensor:
    inside = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    rows, columns = (slice(max(0, s - reach) * PATCH, (s + reach + 1) * PATCH) for s in SPOT)
    inside[rows, columns] = True
    return inside


def as_map(values: torch.Tensor) -> rg.Map:
    return rg.Map(values[None].numpy(), rg.Grid(*values.shape), "given", target_index=(1,))


def random_map(seed: int = 0, side: int = CELLS) -> torch.Tensor:
    return torch.randn(side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
