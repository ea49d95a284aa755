"""FES: is a pixel unlike a sparse ring of samples around it?"""

from __future__ import annotations

import math

import torch
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.gaze.predictors._shared import Pictures, as_map, blur, check_pictures, lab, shrunk
from regard.registry import method
from regard.subjects.values import MapValues

RADII = (13, 25, 38)  # pixels, of a picture 171 wide


@method(
    "gaze.predictors",
    paper="fes",
    claim="equals a loop over pixels and samples; a singleton's colour is found",
    source="written from the model: centre and surround densities by kernels, Bayes' rule, three radii",
    needs={"x"},
    differs="one sample in the centre; the prior is flat or a Gaussian, where the paper averages people's fixations",
    unit="probability of the centre",
)
def fes(
    x: Pictures, *, width: int = 171, samples: int = 8, spread: float = 10.0, centre: float = 0.0, sigma: float = 4.0
) -> MapValues:
    """S = mean over radii of P / (P + (1 - P) p), p = mean over samples j of exp(-|f - f_j|^2 / 2 spread^2).

    f: the pixel's CIE Lab colour; f_j: those of `samples` pixels on a ring about it, the nearest where the ring leaves
    the picture. P is 1/2, or exp(-d^2 / 2) with d the distance from the middle in `centre` times each side.
    sigma: of the last blur, in pixels; width: longer side at which it is computed (rings of 13, 25, 38 pixels at 171).

    x [B, 3, H, W] in 0..1; gives [B, h, w]. Raises ImageError for other pictures, LayoutError for bad options.

    >>> import torch
    >>> fes(torch.rand(1, 3, 30, 40, generator=torch.Generator().manual_seed(0))).grid
    Grid(h=30, w=40, prefix=0)
    """
    check_pictures(x)
    if samples < 1 or spread <= 0 or centre < 0:
        raise LayoutError(
            f"samples={samples}, spread={spread}, centre={centre}", hint="1 or more, over 0, not negative"
        )
    colour = lab(shrunk(x, width))
    h, w = colour.shape[-2:]
    prior = torch.full((h, w), 0.5).to(x)
    if centre:
        down, across = (((torch.arange(n).to(x) + 0.5) / n - 0.5) / centre for n in (h, w))
        prior = torch.exp(-(down[:, None] ** 2 + across**2) / 2).clamp(1e-6, 1 - 1e-6)
    total = torch.zeros_like(colour[:, 0])
    for radius in RADII:
        reach = max(1, round(radius * width / 171))
        around = F.pad(colour, (reach,) * 4, mode="replicate")
        like = torch.zeros_like(total)
        for k in range(samples):
            dy, dx = (round(reach * f(2 * math.pi * k / samples)) + reach for f in (math.sin, math.cos))
            apart = (colour - around[..., dy : dy + h, dx : dx + w]).square().sum(1)
            like = like + torch.exp(-apart / (2 * spread**2)) / samples
        total = total + prior / (prior + (1 - prior) * like) / len(RADII)
    return as_map(blur(total, sigma))
