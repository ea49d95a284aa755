"""A bank of oriented filters whose bands sum to the picture."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError


def bands(x: Float[Tensor, "b c h w"], scales: int, orientations: int) -> list[Float[Tensor, "b c h w"]]:
    """Finest band, scales - 1 octaves of `orientations` each, and what is coarser; they sum to x.

    In the spectrum octave s weighs cos^2 of pi / 2 times the distance, in octaves, from 2^-(s + 1) cycles a pixel;
    orientation k weighs cos^(2 K - 2) of its angle, divided by the sum over all K.
    """
    if scales < 1 or orientations < 1:
        raise LayoutError(f"{scales} scales of {orientations} orientations", hint="1 or more")
    size = (x.shape[-2], x.shape[-1])
    spectrum = torch.fft.fft2(x)
    return [torch.fft.ifft2(spectrum * mask).real for mask in _masks(size, scales, orientations, x)]


def _masks(size: tuple[int, int], scales: int, orientations: int, like: Tensor) -> list[Float[Tensor, "h w"]]:
    fy, fx = (torch.fft.fftfreq(n, dtype=torch.float64) for n in size)
    octave = -(torch.hypot(fy[:, None], fx).clamp_min(1e-9) * 2).log2()  # 0 at half a cycle a pixel
    octave = octave.clamp(0, scales)
    rings = [torch.cos(math.pi / 2 * (octave - s).abs().clamp_max(1)) ** 2 for s in range(scales + 1)]
    angle = torch.atan2(fy[:, None].expand(size), fx.expand(size))
    tuned = [torch.cos(angle - math.pi * k / orientations) ** (2 * orientations - 2) for k in range(orientations)]
    # at half a cycle a pixel f and -f are one entry; the mean of both angles keeps every band real
    tuned = [(t + _mirrored(t)) / 2 for t in tuned]
    whole = torch.stack(tuned).sum(0)
    oriented = [ring * t / whole for ring in rings[1:-1] for t in tuned]
    return [mask.to(like) for mask in (rings[0], *oriented, rings[-1])]


def _mirrored(spectrum: Tensor) -> Tensor:
    """Entry -f in the place of f."""
    return spectrum.flip((0, 1)).roll((1, 1), (0, 1))
