"""hilo works: windows for the high heads, pooled keys for the low ones, at the cost that the formula says."""

from __future__ import annotations

import time

import torch
from torch import Tensor

import regard as rg
from regard.testing.marks import works

from .arithmetic import dense, drawn, flops, gap

hilo = rg.operators.hilo


def qkv(grid: rg.Grid, heads: int = 4, width: int = 8) -> list[Tensor]:
    return [drawn(1, heads, grid.patches, width, seed=i) for i in range(3)]


@works("hilo")
def test_all_high_is_window_attention_and_all_low_attention_to_means() -> None:
    """On oblong grids and three window sizes, to 1e-12; and shares of heads in between take each rule by its heads."""
    for grid, window in ((rg.Grid(4, 6), 2), (rg.Grid(6, 3), 3), (rg.Grid(5, 5), 1)):
        q, k, v = qkv(grid)
        cells = grid.cells(window)
        high = dense(q, k, v, cells[:, None] == cells)
        few = [torch.stack([x[:, :, cells == c].mean(2) for c in range(int(cells.max()) + 1)], 2) for x in (k, v)]
        low = dense(q, *few)
        assert gap(hilo(q, k, v, grid, low=0.0, window=window), high) < 1e-12
        assert gap(hilo(q, k, v, grid, low=1.0, window=window), low) < 1e-12
        mixed = hilo(q, k, v, grid, low=0.25, window=window)
        assert gap(mixed, torch.cat([high[:, :3], low[:, 3:]], 1)) < 1e-12


@works("hilo")
def test_operations_match_the_formula() -> None:
    """4 D pairs, with N w^2 pairs for each high head and N^2 / w^2 for each low one."""
    for side, window, low in ((16, 2, 0.5), (16, 4, 0.25), (24, 4, 0.75)):
        grid = rg.Grid(side, side)
        n, far = grid.patches, round(low * 4)
        formula = 4 * 8 * ((4 - far) * n * window**2 + far * n * n // window**2)
        assert flops(lambda *x, g=grid, a=low, w=window: hilo(*x, g, low=a, window=w), *qkv(grid)) == formula


@works("hilo")
def test_faster_than_full_attention_at_high_resolution() -> None:
    """48 x 48 patches, windows of 4: CPU time under half of fused full attention, median of 7 rounds (about 1/6)."""
    grid = rg.Grid(48, 48)
    q, k, v = (x.float() for x in qkv(grid, width=32))
    times: dict[str, list[float]] = {"full": [], "hilo": []}
    for _ in range(7):
        for name, run in (
            ("full", lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v)),
            ("hilo", lambda: hilo(q, k, v, grid, window=4)),
        ):
            start = time.process_time()
            run()
            times[name].append(time.process_time() - start)
    full, ours = (sorted(times[name])[3] for name in ("full", "hilo"))
    assert ours < 0.5 * full
