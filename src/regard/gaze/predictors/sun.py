"""SUN: what natural pictures rarely hold."""

from __future__ import annotations

import functools
import math

import torch
from jaxtyping import Float
from torch import Tensor

from regard.gaze.predictors._photos import photos
from regard.gaze.predictors._shared import Pictures, as_map, blur, check_pictures, shrunk
from regard.registry import method
from regard.subjects.values import MapValues


@method(
    "gaze.predictors",
    paper="sun",
    claim="the fitted law recovers a planted one; what natural photos hold often scores low",
    source="Zhang et al. 2008, the model with differences of Gaussians",
    needs={"x"},
    differs="the filters' laws are fitted to four photos that scikit-image carries, where the authors had 138",
    unit="nats",
)
def sun(x: Pictures, *, width: int = 400, sigma: float = 8.0) -> MapValues:
    """S = sum over 12 responses of |f / s|^t: self-information under laws learned from other pictures.

    f: differences of Gaussians at 4 scales of R + G + B, R - G and B - (R + G) / 2; t, s: shape and scale of a
    generalised Gaussian for each, fitted once by moments. sigma: of the last blur, in pixels.

    width: longer side in pixels at which it is computed.

    x [B, 3, H, W] in 0..1; gives [B, h, w]. Raises ImageError for other pictures.

    >>> import torch
    >>> sun(torch.rand(1, 3, 30, 40, generator=torch.Generator().manual_seed(0))).grid
    Grid(h=30, w=40, prefix=0)
    """
    check_pictures(x)
    responses = _responses(shrunk(x, width))
    shape, scale = (t.to(x)[:, None, None] for t in laws(width))
    surprise = (responses.abs() / scale).clamp_min(1e-12) ** shape
    return as_map(blur(surprise.sum(1), sigma))


def _responses(x: Pictures) -> Float[Tensor, "b 12 h w"]:
    r, g, b = x.unbind(1)
    found = []
    for channel in (r + g + b, r - g, b - (r + g) / 2):
        for scale in (2.0, 4.0, 8.0, 16.0):
            narrow = scale / math.sqrt(2)  # exp(-r^2 / s^2)
            found.append(blur(channel, narrow) - blur(channel, 1.6 * narrow))
    return torch.stack(found, 1)


@functools.cache
def laws(width: int) -> tuple[Float[Tensor, " 12"], Float[Tensor, " 12"]]:
    """Shape and scale of each response over the photos at hand."""
    values = torch.cat([_responses(shrunk(one, width)).flatten(2)[0] for one in photos()], 1)
    return fitted(values.double())


def fitted(values: Float[Tensor, "c n"]) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
    """Generalised Gaussian p ~ exp(-|f / s|^t) by its moments: E|f|^2 / E f^2 = G(2/t)^2 / (G(1/t) G(3/t))."""
    ratio = values.abs().mean(1) ** 2 / values.square().mean(1).clamp_min(1e-24)
    grid = torch.linspace(0.2, 4.0, 1901, dtype=values.dtype)
    told = torch.exp(2 * torch.lgamma(2 / grid) - torch.lgamma(1 / grid) - torch.lgamma(3 / grid))
    shape = grid[(told[None] - ratio[:, None]).abs().argmin(1)]
    scale = (values.square().mean(1) * torch.exp(torch.lgamma(1 / shape) - torch.lgamma(3 / shape))).sqrt()
    return shape, scale
