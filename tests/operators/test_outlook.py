from __future__ import annotations

import torch
from torch import Tensor

import regard as rg

from .tools import agree, drawn, refuses

outlook = rg.operators.outlook
GRID = rg.Grid(3, 4)


def slow(v: Tensor, affinity: Tensor) -> Tensor:
    """Centre by centre; targets and sources outside the picture fall away or are 0."""
    offsets = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    out, weights = torch.zeros_like(v), torch.softmax(affinity, -1)
    for y in range(3):
        for x in range(4):
            for t, (ty, tx) in enumerate(offsets):
                if not (0 <= y + ty < 3 and 0 <= x + tx < 4):
                    continue
                for s, (sy, sx) in enumerate(offsets):
                    if 0 <= y + sy < 3 and 0 <= x + sx < 4:
                        share = weights[:, :, 4 * y + x, t, s, None]
                        out[:, :, 4 * (y + ty) + x + tx] += share * v[:, :, 4 * (y + sy) + x + sx]
    return out


def test_equals_a_loop_over_centres() -> None:
    agree(lambda v, a: outlook(v, a, GRID), slow, *drawn((2, 3, 12, 5), (2, 3, 12, 9, 9)))


def test_refusals() -> None:
    v, a = drawn((2, 3, 12, 5), (2, 3, 12, 9, 9))
    refuses("kernel 2", "k odd", outlook, v, a, GRID, kernel=2)
    refuses("affinity [2, 3, 12, 9, 9], kernel 5", "[B, H, N, k^2, k^2]", outlook, v, a, GRID, kernel=5)
