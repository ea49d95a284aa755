from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg

from .tools import agree, drawn, qkv, refuses

inline = rg.operators.inline


def weights(q: Tensor, k: Tensor, scale: float | None = None) -> Tensor:
    s = q @ k.mT * (q.shape[-1] ** -0.5 if scale is None else scale) / k.shape[2]
    return s - s.mean(-1, keepdim=True) + 1 / k.shape[2]


@pytest.mark.parametrize("scale", [None, 2.0])
def test_equals_the_quadratic_form(scale: float | None) -> None:
    agree(lambda q, k, v: inline(q, k, v, scale=scale), lambda q, k, v: weights(q, k, scale) @ v, *qkv(q=4, k=9))


def test_relu_features() -> None:
    agree(lambda *x: inline(*x, feature="relu"), lambda q, k, v: weights(q.relu(), k.relu()) @ v, *qkv())


def test_residual_adds_the_neighbours_of_the_grid() -> None:
    grid, (q, k, v) = rg.Grid(3, 4), qkv(q=12, k=12)
    residual = drawn((2, 3, 9), seed=4)[0]

    def by_loops(q: Tensor, k: Tensor, v: Tensor, r: Tensor) -> Tensor:
        out = (weights(q, k) @ v).clone()
        for y in range(3):
            for x in range(4):
                for n, (dy, dx) in enumerate((a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)):
                    if 0 <= y + dy < 3 and 0 <= x + dx < 4:
                        out[:, :, 4 * y + x] += r[:, :, n, None] * v[:, :, 4 * (y + dy) + x + dx]
        return out

    agree(lambda q, k, v, r: inline(q, k, v, residual=r, grid=grid), by_loops, q, k, v, residual)


def test_refusals() -> None:
    q, k, v = qkv()
    refuses("residual [2, 3, 9] on grid None", "Grid(h, w)", inline, q, k, v, residual=torch.zeros(2, 3, 9))
    refuses("residual [9]", "[2, 3, 9]", inline, q, k, v, residual=torch.zeros(9), grid=rg.Grid(1, 7))
