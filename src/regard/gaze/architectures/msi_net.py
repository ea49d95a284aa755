"""MSI-Net: VGG-16 that keeps its resolution, and atrous pyramid pooling that sees the picture as a whole."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels and convolutions of VGG-16
RATES = (4, 8, 12)


class MSINet(nn.Module):
    """Contextual encoder-decoder (Kroner et al. 2020): photos [B, 3, H, W] -> logits [B, H', W']. Untrained.

    VGG-16 whose pools 4 and 5 have stride 1 and whose last stage is dilated by 2; pools 3, 4 and 5 side by side; a
    pyramid of a 1 x 1, three dilated 3 x 3 (4, 8, 12) and the global mean, 256 channels each; three times upsampling
    and a 3 x 3. 24,934,209 weights at scale 1. H and W are multiples of 8 (the paper's OSIE input is 240 x 320).

    >>> with torch.random.fork_rng():
    ...     MSINet(scale=0.05)(torch.rand(1, 3, 24, 32)).shape
    torch.Size([1, 24, 32])
    """

    def __init__(self, *, scale: float = 1.0) -> None:
        super().__init__()

        def sized(channels: int) -> int:
            return max(1, round(channels * scale))

        self.stages = nn.ModuleList()
        width = 3
        for number, (channels, count) in enumerate(STAGES):
            spread = 2 if number == 4 else 1
            layers: list[nn.Module] = []
            for _ in range(count):
                layers += [nn.Conv2d(width, sized(channels), 3, padding=spread, dilation=spread), nn.ReLU()]
                width = sized(channels)
            self.stages.append(nn.Sequential(*layers))
        given, wide = sized(256) + 2 * sized(512), sized(256)
        self.point, self.whole = nn.Conv2d(given, wide, 1), nn.Conv2d(given, wide, 1)
        self.atrous = nn.ModuleList(nn.Conv2d(given, wide, 3, padding=r, dilation=r) for r in RATES)
        self.join = nn.Conv2d(5 * wide, wide, 1)
        steps = (wide, sized(128), sized(64), sized(32))
        self.up = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(steps))
        self.out = nn.Conv2d(steps[-1], 1, 3, padding=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # sixteen ReLUs in a row: with torch's own scale nothing gets through
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, x: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b h w"]:
        """Logits over the cells of x."""
        kept = []
        for number, stage in enumerate(self.stages):
            x = stage(x)
            x = F.max_pool2d(x, 2) if number < 3 else F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=-torch.inf), 2, 1)
            if number >= 2:
                kept.append(x)
        x = torch.cat(kept, 1)
        whole = self.whole(x.mean((2, 3), keepdim=True)).relu().expand(-1, -1, *x.shape[2:])
        parts = [self.point(x).relu(), *(one(x).relu() for one in self.atrous), whole]
        x = self.join(torch.cat(parts, 1)).relu()
        for conv in self.up:
            x = conv(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)).relu()
        return self.out(x)[:, 0]
