"""What the tests of comparisons share: fresh scanpaths, and every way of walking two of them together."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

SIZE = (60, 80)


def drawn(seed: int = 0, n: int = 5, m: int = 4) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    span = torch.tensor([80.0, 60.0, 0.4], dtype=torch.float64)
    one, two = (torch.rand(k, 3, generator=g, dtype=torch.float64) * span + 0.01 for k in (n, m))
    return one, two


def walks(n: int, m: int) -> Iterator[list[tuple[int, int]]]:
    """All ways from (0, 0) to (n - 1, m - 1) in steps right, down or both."""

    def on(way: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
        i, j = way[-1]
        if (i, j) == (n - 1, m - 1):
            yield way
        for a, b in ((i + 1, j), (i, j + 1), (i + 1, j + 1)):
            if a < n and b < m:
                yield from on([*way, (a, b)])

    return on([(0, 0)])
