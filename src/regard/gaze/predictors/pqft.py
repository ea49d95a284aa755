"""PQFT: the phase of a picture's quaternion spectrum: intensity, two colour opponents, and motion if there is any."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.gaze.predictors._shared import Pictures, as_map, blur, check_pictures, grey, shrunk
from regard.registry import method
from regard.subjects.values import MapValues


@method(
    "gaze.predictors",
    paper="pft",
    claim="on a grey picture equals pft of its intensity; equals a slow quaternion transform",
    source="Guo, Ma and Zhang 2008, section 2.2",
    needs={"x"},
    differs="single pictures: the motion part is 0",
    unit="energy",
)
def pqft(x: Pictures, *, width: int = 64, sigma: float = 3.0) -> MapValues:
    """S = G * |q'|^2, q' the picture M + RG i + BY j + I k with every frequency of its transform at length 1.

    RG = R - G and BY = B - Y of broadly tuned colours, as Itti's. The quaternion is two complex numbers,
    (M + RG i) + (BY + I i) j, and its transform two complex ones; a frequency's length is over both.

    width: longer side in pixels at which it is computed; sigma: of the blur G, in those pixels.

    x [B, 3, H, W] in 0..1; gives [B, h, w]. Raises ImageError for other pictures.

    >>> import torch
    >>> pqft(torch.rand(1, 3, 30, 40, generator=torch.Generator().manual_seed(0))).grid
    Grid(h=30, w=40, prefix=0)
    """
    check_pictures(x)
    small = shrunk(x, width)
    rg, by = opponents(small)
    parts = torch.stack([torch.complex(torch.zeros_like(rg), rg), torch.complex(by, grey(small))])
    spectra = torch.fft.fft2(parts)
    length = spectra.abs().square().sum(0).sqrt()
    back = torch.fft.ifft2(spectra / length.clamp_min(1e-9 * float(length.max().clamp_min(1e-30))))
    return as_map(blur(back.abs().square().sum(0), sigma))


def opponents(x: Pictures) -> tuple[Float[Tensor, "b H W"], Float[Tensor, "b H W"]]:
    """Red against green and blue against yellow, of broadly tuned colours (Itti, Koch and Niebur 1998)."""
    r, g, b = x.unbind(1)
    red, green, blue = r - (g + b) / 2, g - (r + b) / 2, b - (r + g) / 2
    yellow = (r + g) / 2 - (r - g).abs() / 2 - b
    return red - green, blue - yellow
