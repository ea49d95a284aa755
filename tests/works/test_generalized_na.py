"""generalized-na works: strides span sliding to blocked attention, and tiles are counted before anything is run."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

import regard as rg
from regard.testing.marks import works

SETTINGS = [
    ((24,), (8,), (3,)),
    ((12, 16), (6, 8), (2, 8)),
    ((4, 8, 8), (2, 4, 4), (2, 1, 4)),
]


def visited(mask: Tensor, axes: tuple[int, ...], tile: tuple[int, ...]) -> int:
    """Pairs of tiles with an allowed pair, counted pair by pair."""
    owner = [tuple(p // t for p, t in zip(place, tile, strict=True)) for place in itertools.product(*map(range, axes))]
    return len({(owner[i], owner[j]) for i, j in mask.nonzero().tolist()})


@works("generalized-na")
@pytest.mark.parametrize("seed", range(3))
def test_strides_span_sliding_and_blocked_attention_and_tiles_are_predicted(seed: int) -> None:
    """Stride 1 = neighborhood; stride = window = blocks; masked oracle to 1e-11; tiles counted exactly, three seeds."""
    draw = torch.Generator().manual_seed(seed)
    for axes, window, stride in SETTINGS:
        tokens = torch.Size(axes).numel()
        q, k, v = (torch.randn(1, 2, tokens, 8, generator=draw, dtype=torch.float64) for _ in range(3))
        for steps in ((1,) * len(axes), stride, window):
            pattern = rg.patterns.neighborhood(axes, window, steps)
            mask = pattern.mask()
            assert (mask.sum(-1) == torch.Size(window).numel()).all()
            scores = (q @ k.mT * 8**-0.5).masked_fill(~mask, float("-inf"))
            got = rg.attend(q, k, v, pattern=pattern, impl="tiled").out
            torch.testing.assert_close(got, scores.softmax(-1) @ v, rtol=1e-11, atol=1e-11)
            for tile in ((4,) * len(axes), stride):
                plan = pattern.plan(tile=tile, key_tile=tile)
                assert plan.tiles == visited(mask, axes, tile)
                assert plan.bound == plan.dense_tiles / plan.tiles
        assert rg.patterns.neighborhood(axes, window, 1) == rg.patterns.neighborhood(axes, window)
        assert rg.patterns.neighborhood(axes, window, window) == rg.patterns.window(axes, window)


def test_the_bound_grows_with_the_stride() -> None:
    """What the paper is about: as the stride grows, masks vanish and the bound reaches that of the pairs."""
    bounds = [rg.patterns.neighborhood((64, 64), 16, s).plan(tile=(8, 8), key_tile=(8, 8)).bound for s in (1, 4, 8, 16)]
    assert bounds == sorted(bounds)
    assert bounds[0] < bounds[-1] == 16.0
    assert rg.patterns.neighborhood((64, 64), 16, 16).plan(tile=(8, 8), key_tile=(8, 8)).partial == 0
