"""TempSAL: a map for each second of viewing, and a mixer that lets these change the map of the whole viewing."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class PNASLevels(nn.Module):
    """PNASNet-5-large: photos -> 270, 1080, 2160 and 4320 channels at 1/4 to 1/32 of the sides. Untrained."""

    channels = (270, 1080, 2160, 4320)

    def __init__(self) -> None:
        super().__init__()
        import timm

        self.net = timm.create_model("pnasnet5large", features_only=True, out_indices=(1, 2, 3, 4))

    def forward(self, x: Float[Tensor, "b 3 H W"]) -> list[Tensor]:
        levels: list[Tensor] = self.net(x)
        return levels


class Decoder(nn.Module):
    """From the coarsest level to the finest, each enlarged to the next and joined with it; -> `maps` logits."""

    def __init__(self, channels: tuple[int, ...], maps: int, width: int) -> None:
        super().__init__()
        wide = [0, *(min(width * 2**i, 512) for i in range(len(channels)))][1:][::-1]
        self.steps = nn.ModuleList()
        before = 0
        for given, out in zip(reversed(channels), wide, strict=True):
            self.steps.append(nn.Conv2d(before + given, out, 3, padding=1))
            before = out
        self.last = nn.Conv2d(before, maps, 1)

    def forward(self, levels: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits [B, maps, h, w] at the finest level, and the features that they were read from."""
        x = levels[-1][:, :0]
        for step, level in zip(self.steps, reversed(levels), strict=True):
            x = F.interpolate(x, size=level.shape[-2:], mode="bilinear", align_corners=False) if x.numel() else x
            x = step(torch.cat([x, level], 1)).relu()
        return self.last(x), x


class TempSAL(nn.Module):
    """Photos [B, 3, H, W] -> logits [B, h, w] of the whole viewing; `slices`: of each interval too. Untrained.

    One decoder makes T = 5 maps of a second each, another the map of the whole; the mixer reads both and the finest
    features and adds what it finds to the whole: global + mix([slices, global, features]). (Aydemir et al. 2023.)
    Without mixing the second decoder alone is the model's time-blind twin.

    >>> class Two(nn.Module):
    ...     channels = (3, 6)
    ...     def forward(self, x):
    ...         return [F.avg_pool2d(x, 2), F.avg_pool2d(torch.cat([x, x], 1), 4)]
    >>> with torch.random.fork_rng():
    ...     slices, whole = TempSAL(Two(), width=8).slices(torch.rand(1, 3, 16, 24))
    >>> slices.shape, whole.shape
    (torch.Size([1, 5, 8, 12]), torch.Size([1, 8, 12]))
    """

    def __init__(self, encoder: nn.Module | None = None, *, slices: int = 5, width: int = 64) -> None:
        super().__init__()
        self.encoder = encoder if encoder is not None else PNASLevels()
        channels: tuple[int, ...] = self.encoder.channels  # type: ignore[assignment]
        self.time, self.whole = Decoder(channels, slices, width), Decoder(channels, 1, width)
        self.mixer = nn.Sequential(
            nn.Conv2d(slices + 1 + width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 1, 3, padding=1)
        )

    def slices(self, x: Float[Tensor, "b 3 H W"]) -> tuple[Float[Tensor, "b t h w"], Float[Tensor, "b h w"]]:
        """Logits of each interval, and of the whole viewing."""
        levels = self.encoder(x)
        each, _ = self.time(levels)
        whole, features = self.whole(levels)
        return each, (whole + self.mixer(torch.cat([each, whole, features], 1)))[:, 0]

    def forward(self, x: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b h w"]:
        """Logits of the whole viewing."""
        return self.slices(x)[1]
