"""JuntingNet: counts by hand, maxout by hand, a dot is learnt."""

from __future__ import annotations

import pytest
import torch

from regard.gaze.architectures.junting_net import JuntingNet, resized

from .tools import counted, dots, learns, seeded


def test_weights_by_hand() -> None:
    by_hand = (5 * 5 * 3 + 1) * 32 + (9 * 32 + 1) * 64 + (9 * 64 + 1) * 64 + (6400 + 1) * 4608
    assert counted(JuntingNet, 2, 3, 96, 96) == (by_hand, [2, 48, 48])


def test_maxout_takes_the_larger_of_each_pair() -> None:
    net = seeded(JuntingNet).eval()
    seen = []
    net.full.register_forward_hook(lambda _, __, out: seen.append(out))
    x = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    made = net(resized(x))
    pairs = seen[0][0].reshape(-1, 2)
    assert torch.equal(made.flatten(), torch.maximum(pairs[:, 0], pairs[:, 1]))


@pytest.mark.slow
def test_a_dot_is_learnt() -> None:
    x, at = dots((96, 96), n=2)
    assert learns(seeded(JuntingNet), x, at, steps=4, rate=5e-4) > 5
