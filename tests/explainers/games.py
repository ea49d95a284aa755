"""Scores of cells that are known in closed form, as models of pictures."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg

from .models import draw


class Game(nn.Module):
    """A score of the mean brightness of each cell of a small grid: linear, and pairs that act together."""

    def __init__(self, h: int = 2, w: int = 3, *, pairs: float = 1.0) -> None:
        super().__init__()
        self.h, self.w = h, w
        self.alone = nn.Parameter(draw(2, h * w, seed=5))
        self.together = nn.Parameter(draw(2, h * w, h * w, seed=6) * pairs)

    def forward(self, x: Tensor) -> Tensor:
        z = F.adaptive_avg_pool2d(x.mean(1, keepdim=True), (self.h, self.w)).flatten(1)
        return z @ self.alone.T + torch.einsum("bi,cij,bj->bc", z, self.together, z)


def pictures(b: int = 2, height: int = 8, width: int = 12) -> Tensor:
    return draw(b, 3, height, width, seed=7)


def subsets(model: nn.Module, x: Tensor, target: int, h: int, w: int) -> dict[tuple[int, ...], Tensor]:
    """The score of every subset of cells, the others black: `[B]` each."""
    found = {}
    rows, columns = torch.arange(x.shape[2]) * h // x.shape[2], torch.arange(x.shape[3]) * w // x.shape[3]
    labels = rows[:, None] * w + columns
    for size in range(h * w + 1):
        for some in itertools.combinations(range(h * w), size):
            stays = torch.isin(labels, torch.tensor(some, dtype=torch.long))
            found[some] = model(x * stays)[:, target].detach()
    return found


def shapley(scores: dict[tuple[int, ...], Tensor], m: int) -> Tensor:
    """From the definition: the mean over all orders."""
    found = torch.zeros(len(scores[()]), m, dtype=torch.float64)
    orders = list(itertools.permutations(range(m)))
    for order in orders:
        for at, cell in enumerate(order):
            before = tuple(sorted(order[:at]))
            found[:, cell] += scores[tuple(sorted((*before, cell)))] - scores[before]
    return found / len(orders)


def banzhaf(scores: dict[tuple[int, ...], Tensor], m: int) -> Tensor:
    """From the definition: the mean over all subsets of the others."""
    found = torch.zeros(len(scores[()]), m, dtype=torch.float64)
    for some, score in scores.items():
        for cell in range(m):
            found[:, cell] += score if cell in some else -score
    return found / 2 ** (m - 1)


def cells_of(made: rg.Map) -> Tensor:
    return torch.from_numpy(made.values).flatten(1)
