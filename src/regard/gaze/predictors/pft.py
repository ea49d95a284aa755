"""PFT: the phase of a picture's spectrum alone."""

from __future__ import annotations

import torch

from regard.gaze.predictors._shared import Pictures, as_map, blur, check_pictures, grey, shrunk
from regard.registry import method
from regard.subjects.values import MapValues


@method(
    "gaze.predictors",
    paper="pft",
    claim="equals the formula in NumPy; AUC .77 on OSIE",
    source="Guo, Ma and Zhang 2008, section 2.1",
    needs={"x"},
    differs="none",
    unit="energy",
)
def pft(x: Pictures, *, width: int = 64, sigma: float = 2.5) -> MapValues:
    """S = G * |IFFT(exp(i phase))|^2: all frequencies made equally strong, so that repetition cancels.

    width: longer side in pixels at which it is computed; sigma: of the blur G, in those pixels.

    x [B, 3, H, W] in 0..1; gives [B, h, w]. Raises ImageError for other pictures.

    >>> import torch
    >>> pft(torch.rand(1, 3, 30, 40, generator=torch.Generator().manual_seed(0))).grid
    Grid(h=30, w=40, prefix=0)
    """
    check_pictures(x)
    spectrum = torch.fft.fft2(grey(shrunk(x, width)))
    back = torch.fft.ifft2(torch.polar(torch.ones_like(spectrum.real), spectrum.angle()))
    return as_map(blur(back.abs().square(), sigma))
