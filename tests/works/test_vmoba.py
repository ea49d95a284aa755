"""vmoba works: all blocks are full attention, the number of blocks follows concentration, planted blocks are kept."""

from __future__ import annotations

import math

import torch
from torch import Tensor

import regard as rg
from regard.operators.block_mixture import _members, _selected
from regard.testing.marks import works

from .arithmetic import dense, drawn, gap, with_gradients

mixture = rg.operators.block_mixture
SPACE = (4, 6, 6)  # frames, rows, columns
CYCLE = ((1, 6, 6), (4, 2, 2), (2, 3, 3))  # what layers take turns in: time; plane; both


def video(seed: int, width: int = 8) -> list[Tensor]:
    return [drawn(1, 2, math.prod(SPACE), width, seed=seed + i) for i in range(3)]


@works("vmoba")
def test_selecting_all_blocks_is_full_attention() -> None:
    q, k, v = video(0)
    for block in CYCLE:
        assert gap(mixture(q, k, v, space=SPACE, block=block, threshold=1.0), dense(q, k, v)) < 1e-12


@works("vmoba")
def test_gathering_equals_masking() -> None:
    """Outputs and gradients, each partition of the cycle, three thresholds."""
    q, k, v = video(10)
    for block in CYCLE:
        for threshold in (0.1, 0.5, 0.9):
            forms = [
                with_gradients(
                    lambda *x, f=form, b=block, t=threshold: mixture(*x, space=SPACE, block=b, threshold=t, form=f),
                    q, k, v,
                )
                for form in ("gathered", "masked")
            ]  # fmt: skip
            assert gap(*forms) < 1e-12


@works("vmoba")
def test_the_count_of_blocks_adapts_to_concentration() -> None:
    """Mean blocks read of 8 as queries sharpen from a tenth to ten: falls at each step, and by more than half."""
    for seed in range(3):
        q, k, _ = video(20 + seed)
        members = _members(k.shape[2], SPACE, (2, 3, 3))
        gains = (0.1, 1.0, 3.0, 10.0)
        counts = [float(_selected(gain * 4 * q, k, members, 0.5, 8**-0.5).sum(-1).double().mean()) for gain in gains]
        assert counts == sorted(counts, reverse=True)
        assert counts[-1] < 0.5 * counts[0]


@works("vmoba")
def test_a_planted_block_in_space_and_time_is_always_kept() -> None:
    """One box of 2 x 3 x 3 holds keys that resemble the queries; 20 draws of the box, at the lowest threshold."""
    members = _members(math.prod(SPACE), SPACE, (2, 3, 3))
    for seed in range(20):
        q, k, _ = video(100 + seed)
        target = seed % len(members)
        direction = torch.nn.functional.normalize(drawn(8, seed=seed), dim=0)
        q = q * 0.5 + 3 * direction
        k[:, :, members[target]] += 2 * direction
        taken = _selected(q, k, members, 0.05, 8**-0.5)
        assert bool(taken[..., target].float().mean() > 0.95)
        assert bool(taken[..., target].any(2).all())
        loose = _selected(q, k, members, 0.5, 8**-0.5)
        assert bool(loose[..., target].float().mean() > 0.95)
