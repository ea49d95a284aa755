"""ViNet-S: as large as published, clips without a future, a static clip is its repeated frame, a dot is learnt."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.gaze.architectures.vinet_s import S3DLevels, ViNetS, clips, ensemble

from .tools import counted, dots, learns, seeded


class Small(nn.Module):
    channels = (6, 8)

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv3d(3, 6, 3, 2, 1), nn.Conv3d(6, 8, 3, 2, 1)

    def forward(self, clip: Tensor) -> list[Tensor]:
        first = self.one(clip).relu()
        return [first, self.two(first).relu()]


def test_size_as_published() -> None:
    """36 MB of weights in float32; 9,214,529 of them."""
    weights, shape = counted(ViNetS, 1, 3, 32, 224, 384)
    assert shape == [1, 224, 384]
    assert abs(4 * weights / 36e6 - 1) < 0.05
    with torch.device("meta"):
        levels = S3DLevels()(torch.empty(1, 3, 32, 224, 384))
    assert [list(level.shape[1:]) for level in levels][-1] == [832, 4, 14, 24]


def test_clips_see_no_future() -> None:
    video = torch.randn(7, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    made = clips(video, 4)
    for t in range(7):
        for back in range(4):
            assert torch.equal(made[t, :, 3 - back], video[max(0, t - back)])


def test_ensemble_by_hand() -> None:
    a, b = torch.randn(2, 1, 3, 4, generator=torch.Generator().manual_seed(0)).unbind(0)
    made = ensemble([a, b])
    by_hand = (a.exp() / a.exp().sum() + b.exp() / b.exp().sum()) / 2
    assert torch.allclose(made, by_hand, atol=1e-6)


def test_a_dot_is_learnt() -> None:
    x, at = dots((16, 24), n=4)
    model = seeded(lambda: ViNetS(Small(), widths=(6,)))
    still = nn.Sequential(nn.Unflatten(0, (-1, 1)), Repeated(), model)
    assert learns(still, x, at, steps=60, rate=1e-2) > 4


class Repeated(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x.transpose(1, 2), (0, 0, 0, 0, 3, 0), mode="replicate")
