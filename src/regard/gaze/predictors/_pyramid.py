"""What Itti-Koch and GBVS share: dyadic pyramids of intensity, colour and four orientations."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.gaze.predictors._shared import Pictures, grey
from regard.gaze.predictors.pqft import opponents

ANGLES = (0, 45, 90, 135)


def pyramid(values: Float[Tensor, "b c H W"], levels: int) -> list[Float[Tensor, "b c h w"]]:
    """`levels` halvings after the first: each the one before blurred by the 5 x 5 binomial, every second pixel kept."""
    weights = values.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    found = [values]
    for _ in range(levels):
        c = found[-1].shape[1]
        padded = F.pad(found[-1], (2, 2, 2, 2), mode="replicate")
        kernel = (weights[:, None] * weights).expand(c, 1, 5, 5)
        found.append(F.conv2d(padded, kernel, groups=c, stride=2))
    return found


def colours(x: Pictures) -> tuple[Float[Tensor, "b 1 H W"], Float[Tensor, "b 2 H W"]]:
    """Intensity, and red-green and blue-yellow opponents of colours divided by intensity where that is over a tenth."""
    bright = grey(x)[:, None]
    seen = bright > bright.amax((2, 3), keepdim=True) / 10
    tuned = torch.where(seen, x / bright.clamp_min(1e-6), torch.zeros_like(x))
    return bright, torch.stack(opponents(tuned), dim=1)


def oriented(bright: Float[Tensor, "b 1 h w"]) -> Float[Tensor, "b 4 h w"]:
    """Energy of Gabor filters (9 x 9, period 7 pixels, two phases) at 0, 45, 90 and 135 degrees."""
    padded = F.pad(bright, (4, 4, 4, 4), mode="replicate")
    responses = F.conv2d(padded, gabors(bright)).unflatten(1, (len(ANGLES), 2))
    return responses.square().sum(2).clamp_min(1e-24).sqrt()


def gabors(like: Tensor, *, side: int = 9, period: float = 7.0) -> Float[Tensor, "8 1 side side"]:
    """Each angle in an even and an odd phase, without a mean and of length 1."""
    steps = torch.arange(side, dtype=torch.float64) - side // 2
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    envelope = torch.exp(-(x**2 + y**2) / (2 * (period / 3) ** 2))
    filters = []
    for angle in ANGLES:
        along = x * math.cos(math.radians(angle)) + y * math.sin(math.radians(angle))
        for phase in (0.0, math.pi / 2):
            wave = envelope * torch.cos(2 * math.pi * along / period + phase)
            wave = wave - envelope * wave.sum() / envelope.sum()
            filters.append(wave / wave.norm())
    return torch.stack(filters)[:, None].to(like)


def sized(values: Float[Tensor, "b c h w"], size: tuple[int, int]) -> Float[Tensor, "b c k l"]:
    """Values at another size, smoothed where they shrink."""
    return F.interpolate(values, size=size, mode="bilinear", antialias=True, align_corners=False)
