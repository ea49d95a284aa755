"""MSI-Net: the published number of weights, the global branch is constant, a dot is learnt."""

from __future__ import annotations

import torch

from regard.gaze.architectures.msi_net import MSINet

from .tools import counted, dots, learns, seeded


def test_size_as_published() -> None:
    assert counted(MSINet, 1, 3, 240, 320) == (24_934_209, [1, 240, 320])


def test_the_global_branch_is_constant_and_far_things_are_seen() -> None:
    net = seeded(lambda: MSINet(scale=0.05)).double()
    seen = []
    net.join.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    x = torch.randn(1, 3, 32, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    net(x)
    whole = seen[0][:, -net.whole.out_channels :]
    assert torch.equal(whole, whole[..., :1, :1].expand_as(whole))
    assert seen[0].shape[-2:] == (4, 5)  # pools 4 and 5 keep the eighth


def test_a_dot_is_learnt() -> None:
    x, at = dots((24, 32))
    assert learns(seeded(lambda: MSINet(scale=0.1)), x, at, steps=80) > 5
