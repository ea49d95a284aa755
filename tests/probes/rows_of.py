"""Blocks of rows out of explicit logits, as a watch hands them to probes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

import regard as rg
from regard.core.call import Call, Rows


def logits(b: int, h: int, q: int, k: int, *, seed: int = 0) -> torch.Tensor:
    return 2 * torch.randn(b, h, q, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def whole(s: torch.Tensor) -> Rows:
    return Rows(0, s, s.softmax(-1).nan_to_num(0.0), s.shape[2], masked=bool(torch.isinf(s).any()))


def blocks(s: torch.Tensor, size: int) -> Iterator[Rows]:
    p = s.softmax(-1).nan_to_num(0.0)
    for start in range(0, s.shape[2], size):
        part = slice(start, start + size)
        yield Rows(start, s[:, :, part], p[:, :, part], s.shape[2], masked=bool(torch.isinf(s).any()))


def call_of(p: torch.Tensor) -> Call:
    """A call that has these weights."""
    return Call("attn", 0, "hand", None, None, v=p.new_zeros(*p.shape[:2], p.shape[3], 1), weights=p)


def shifted(grid: rg.Grid, dy: int, dx: int) -> torch.Tensor:
    """Weights [N, N] of a head of fixed offset; uniform from where it leads off the grid, and from the prefix."""
    p = torch.full((grid.tokens, grid.tokens), 1 / grid.tokens, dtype=torch.float64)
    for i in range(grid.patches):
        y, x = i // grid.w + dy, i % grid.w + dx
        if 0 <= y < grid.h and 0 <= x < grid.w:
            p[grid.prefix + i] = 0.0
            p[grid.prefix + i, grid.prefix + y * grid.w + x] = 1.0
    return p


def watched(model: nn.Module, probe: Any, site: str = "blocks.4.attn") -> tuple[torch.Tensor, torch.Tensor, rg.Grid]:
    """What a probe gives on a real photo, the explicit weights in float64, and the grid."""
    x = rg.image("sample:rocket", like=model, patches=100)
    with torch.no_grad(), rg.watch(model, site, keep={"it": probe, "probs": "probs"}) as record:
        model(x)
    reading = record[site]
    assert reading.grid is not None
    return reading["it"], reading["probs"].double(), reading.grid
