"""vinet-s works: of two moving squares people follow the red one; the decoder is small and an average is a density."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.gaze.architectures.vinet_s import ViNetS, ensemble
from regard.testing.marks import works

from .squares import SIZE, centre, cross_entropy, looked, nss, square
from .toys import seeded, train

FRAMES = 4


class Levels(nn.Module):
    """A video encoder of two levels."""

    channels = (10, 12)

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv3d(3, 10, 3, padding=1)
        self.two = nn.Conv3d(10, 12, 3, 2, 1)

    def forward(self, clip: Tensor) -> list[Tensor]:
        first = self.one(clip).relu()
        return [first, self.two(first).relu()]


def videos(n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Clips [n, 3, 4, 16, 24]: a red and a green square that both move, the green one twice as fast; and where people
    look at the end: at the red one."""
    x = 0.3 * torch.randn(n, 3, FRAMES, *SIZE, generator=g)
    at = None
    for colour, speed in ((1, 2), (0, 1)):
        start = torch.stack([2 + (s - 4) * torch.rand(n, generator=g) for s in SIZE], -1)
        step = speed * (torch.randint(2, (n, 2), generator=g) * 2 - 1)
        for t in range(FRAMES):
            at = (start + t * step).clamp(torch.tensor([1.0, 1.0]), torch.tensor(SIZE) - 2.0).long()
            x[:, colour, t] += 2 * square(at)
    assert at is not None
    return x, looked(at, g)


@works("vinet-s")
def test_moving_targets_beside_the_centre_and_frame_differences() -> None:
    """NSS on fresh clips over 1 above both; the mean of two models is a density; the decoder has under a sixth of the
    weights of a U-Net's whose convolutions look at three frames and keep the channels."""
    models = []
    for seed in range(2):
        g = torch.Generator().manual_seed(seed)
        with seeded(seed):
            model = ViNetS(Levels(), widths=(8,))

        def loss(model: ViNetS = model, g: torch.Generator = g) -> Tensor:
            clip, counts = videos(8, g)
            return cross_entropy(model(clip), counts)

        train(model, loss, steps=90, rate=8e-3)
        models.append(model)
    clip, counts = videos(150, torch.Generator().manual_seed(99))
    with torch.no_grad():
        density = ensemble([model(clip) for model in models])
    assert torch.allclose(density.flatten(1).sum(1), torch.ones(150), atol=1e-5)
    change = F.avg_pool2d((clip[:, :, -1] - clip[:, :, -2]).abs().sum(1, keepdim=True), 3, 1, 1)[:, 0]
    found = {"ours": nss(density, counts), "difference": nss(change, counts)}
    found["centre"] = nss(centre().expand_as(density), counts)
    assert found["ours"] > max(found["difference"], found["centre"]) + 1

    with torch.device("meta"):
        full = ViNetS()
        plain = nn.ModuleList([nn.Conv3d(832, 832, 3), nn.Conv3d(832 + 480, 480, 3), nn.Conv3d(480 + 192, 192, 3)])
    decoder = sum(p.numel() for name, p in full.named_parameters() if not name.startswith("encoder"))
    assert decoder < sum(p.numel() for p in plain.parameters()) / 6
