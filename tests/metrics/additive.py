"""A model whose score is a sum over cells: every order's curve is known by adding up."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

import regard as rg
from regard.layout import Grid

GRID = Grid(3, 4)


class Additive(nn.Module):
    """log-probabilities such that p(class 1) = bias + sum over cells of weight x mean brightness of the cell."""

    def __init__(self, weights: torch.Tensor) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cells = F.adaptive_avg_pool2d(x[:, :1], (GRID.h, GRID.w)).flatten(1)
        p = 0.1 + cells @ self.weights
        return torch.stack([1 - p, p], dim=1).log()


def make(seed: int = 0) -> tuple[Additive, torch.Tensor, torch.Tensor]:
    """Model, picture (white cells on black: the mean colour is grey), and the cells' contributions."""
    g = torch.Generator().manual_seed(seed)
    weights = torch.rand(GRID.patches, generator=g, dtype=torch.float64) / 20
    x = torch.rand(1, 3, 24, 32, generator=g, dtype=torch.float64)
    cells = F.adaptive_avg_pool2d(x[:, :1], (GRID.h, GRID.w)).flatten()
    contributions = weights * (cells - x[:, :1].mean())
    return Additive(weights), x, contributions


def removal_curve(model: Additive, x: torch.Tensor, order: torch.Tensor, steps: list[int]) -> list[float]:
    """p with the first cells of `order` at the mean colour, cell by cell: the slow, obvious way."""
    cells = F.adaptive_avg_pool2d(x[:, :1], (GRID.h, GRID.w)).flatten()
    curve = []
    for gone in steps:
        kept = cells.clone()
        kept[order[:gone]] = x[:, :1].mean()
        curve.append(float(0.1 + kept @ model.weights))
    return curve


class LinearScore(Additive):
    """As `Additive`, but the logit of class 1 itself is the sum: what mask metrics score is linear."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        s = 0.1 + F.adaptive_avg_pool2d(x[:, :1], (GRID.h, GRID.w)).flatten(1) @ self.weights
        return torch.stack([torch.zeros_like(s), s, -s], dim=1)


def make_linear(seed: int = 0) -> tuple[LinearScore, torch.Tensor, torch.Tensor]:
    """As `make`, with signed weights."""
    model, x, contributions = make(seed)
    signs = 1 - 2 * (torch.arange(GRID.patches) % 3 == 0).double()
    return LinearScore(model.weights * signs), x, contributions * signs


def as_map(values: torch.Tensor) -> rg.Map:
    """Values of cells as a map of class 1."""
    return rg.Map(values.view(1, GRID.h, GRID.w).numpy(), GRID, "given", target_index=(1,))
