from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import LayoutError
from regard.patterns._plan import tiles

from .pairs import slow_tiles


def test_numbers_by_hand() -> None:
    got = rg.patterns.neighborhood(rg.Grid(8, 8, prefix=1), 3).plan(dim=16, heads=2, batch=3, width=2)
    assert got.pairs == 64 * 9 + 65 + 64
    assert got.dense_pairs == 65 * 65
    assert got.flops == 4 * 16 * 2 * 3 * got.pairs
    assert got.dense_flops == 4 * 16 * 2 * 3 * 65 * 65
    assert got.bytes == 4 * 65 * 16 * 2 * 3 * 2
    assert got.tile == got.key_tile == (4, 8)
    assert (got.tiles, got.dense_tiles, got.partial) == (4, 4, 4)
    assert got.bound == 1.0
    assert got.intensity == got.flops / got.bytes


def test_visited_tiles_are_counted_exactly(generator: torch.Generator) -> None:
    """The simulator against the mask, on random settings; blocks that fit their tiles reach the bound of the pairs."""
    for _ in range(12):
        h, w = torch.randint(4, 13, (2,), generator=generator).tolist()
        k = int(torch.randint(1, min(h, w) + 1, (), generator=generator))
        s = int(torch.randint(1, k + 1, (), generator=generator))
        pattern = rg.patterns.neighborhood((h, w), k, s)
        tile, key_tile = (tuple(torch.randint(1, 6, (2,), generator=generator).tolist()) for _ in range(2))
        assert tiles(pattern, tile, key_tile) == slow_tiles(pattern, tile, key_tile)
    blocked = rg.patterns.neighborhood((16, 16), 4, 4).plan(tile=(4, 4), key_tile=(4, 4))
    assert (blocked.bound, blocked.partial) == (16.0, 0)
    sliding = rg.patterns.neighborhood((16, 16), 4).plan(tile=(4, 4), key_tile=(4, 4))
    assert 1 < sliding.bound < 16
    assert sliding.partial > 0


def test_patterns_of_heads_are_counted_by_head() -> None:
    mask = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    mask[0, 0, 0, 0] = True
    got = rg.patterns.explicit(mask).plan(tile=(4,), key_tile=(4,))
    assert (got.tiles, got.dense_tiles, got.partial) == (1, 8, 1)


def test_refusal() -> None:
    with pytest.raises(LayoutError, match=r"tile \(4,\) on space 8x8"):
        rg.patterns.dense((8, 8)).plan(tile=(4,))
