"""Blocks of rows out of explicit logits, as a watch hands them to probes."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from regard.core.call import Rows


def logits(b: int, h: int, q: int, k: int, *, seed: int = 0) -> torch.Tensor:
    return 2 * torch.randn(b, h, q, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def whole(s: torch.Tensor) -> Rows:
    return Rows(0, s, s.softmax(-1).nan_to_num(0.0), s.shape[2], masked=bool(torch.isinf(s).any()))


def blocks(s: torch.Tensor, size: int) -> Iterator[Rows]:
    p = s.softmax(-1).nan_to_num(0.0)
    for start in range(0, s.shape[2], size):
        part = slice(start, start + size)
        yield Rows(start, s[:, :, part], p[:, :, part], s.shape[2], masked=bool(torch.isinf(s).any()))
