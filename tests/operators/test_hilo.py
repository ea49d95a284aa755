from __future__ import annotations

import torch
from torch import Tensor

import regard as rg

from .tools import agree, dense, qkv, refuses

hilo = rg.operators.hilo
GRID = rg.Grid(4, 6)


def same_window() -> Tensor:
    cells = GRID.cells(2)
    return cells[:, None] == cells


def slow(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    cells = GRID.cells(2)
    few_k, few_v = (torch.stack([x[:, 2:, cells == c].mean(2) for c in range(6)], 2) for x in (k, v))
    return torch.cat([dense(q[:, :2], k[:, :2], v[:, :2], same_window()), dense(q[:, 2:], few_k, few_v)], 1)


def test_equals_masks_and_means() -> None:
    agree(lambda *x: hilo(*x, GRID, low=0.34), slow, *qkv(q=24, k=24))


def test_all_heads_of_one_kind() -> None:
    inputs = qkv(q=24, k=24)
    assert torch.allclose(hilo(*inputs, GRID, low=0.0), dense(*inputs, same_window()), atol=1e-12)
    assert torch.allclose(hilo(*inputs, GRID, low=1.0, window=1), dense(*inputs), atol=1e-12)
    assert not torch.allclose(hilo(*inputs, GRID, low=1.0), dense(*inputs), atol=0.01)


def test_refusals() -> None:
    inputs = qkv(q=24, k=24)
    refuses("windows of 4 x 4 on grid 4x6", "divides both sides", hilo, *inputs, GRID, window=4)
    refuses("low=1.5", "0 .. 1", hilo, *inputs, GRID, low=1.5)
