"""Spectral residual: what is left of a picture's spectrum when the expected is taken away."""

from __future__ import annotations

import torch

from regard.gaze.predictors._shared import Pictures, as_map, blur, box, check_pictures, grey, shrunk
from regard.registry import method
from regard.subjects.values import MapValues


@method(
    "gaze.predictors",
    paper="spectral-residual",
    claim="equals the formula in NumPy; without the residual it is the phase transform; AUC .77 on OSIE",
    source="Hou and Zhang 2007, equations 3 to 6",
    needs={"x"},
    differs="the logarithm has a floor of 1e-12 of the spectrum's peak",
    unit="energy",
)
def spectral_residual(x: Pictures, *, width: int = 64, sigma: float = 2.5) -> MapValues:
    """S = G * |IFFT(exp(R + i phase))|^2, R = log|F| - box3(log|F|): odd frequencies, put back in their place.

    width: longer side in pixels at which it is computed; sigma: of the blur G, in those pixels.

    x [B, 3, H, W] in 0..1; gives [B, h, w]. Raises ImageError for other pictures.

    >>> import torch
    >>> spectral_residual(torch.rand(1, 3, 30, 40, generator=torch.Generator().manual_seed(0))).grid
    Grid(h=30, w=40, prefix=0)
    """
    check_pictures(x)
    spectrum = torch.fft.fft2(grey(shrunk(x, width)))
    size = spectrum.abs()
    log = size.clamp_min(1e-12 * float(size.max().clamp_min(1e-30))).log()
    residual = log - box(log, 3)
    back = torch.fft.ifft2(torch.polar(residual.exp(), spectrum.angle()))
    return as_map(blur(back.abs().square(), sigma))
