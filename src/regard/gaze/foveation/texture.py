"""Texture pooling: away from the gaze only the statistics of ever larger regions are kept, filled in with noise."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from regard.errors import LayoutError
from regard.gaze.foveation._bands import bands
from regard.gaze.foveation._shared import Fixation, Pictures, distances, middles, single
from regard.registry import method


@method(
    "gaze.foveation",
    paper="emergent-foveation",
    claim="moments of each pooling region are kept, the gaze too, pixels are not",
    source="Freeman and Simoncelli 2011 for the regions; Deza and Konkle 2020",
    needs={"x", "fixation"},
    differs="moments of a filter bank in the place of a trained network's, no autocorrelations",
    unit="colour",
)
def texture(
    x: Pictures,
    fixation: Fixation,
    *,
    scaling: float = 0.4,
    fovea: float = 32.0,
    scales: int = 4,
    orientations: int = 4,
    rounds: int = 2,
    seed: int = 0,
) -> Pictures:
    """Noise with the means and channel covariances that the picture's oriented bands have in each pooling region.

    Regions (`regions`) are as wide as `scaling` times their eccentricity. In every region r and band b
    t_b = mean_r(x_b) + L_r(x_b) L_r(n_b)^-1 (n_b - mean_r(n_b)), L L' = covariance of the channels, n white noise; the
    result is the sum of its bands, exact in each region's mean colour. Bands of the sum differ a little from those that
    were summed, so it is taken as the noise again, `rounds` times in all. Regions of too few pixels for a covariance,
    and the fovea, stay as they are; scaling 0 keeps the whole picture. Values may leave 0..1.

    x [B, C, H, W]; fixation (x, y) in pixels, [2] or [B, 2]; fovea: its radius in pixels; scaling about .26 as in V1,
    .46 as in V2. Differentiable in x; the regions jump with the fixation. Raises LayoutError, DegenerateError,
    ImageError. Source: Freeman and Simoncelli 2011 (the regions); Deza and Konkle 2020 (moments matched to noise).
    Here the moments are those of a filter bank, not of a trained network, and no autocorrelations are matched.

    >>> import torch
    >>> x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    >>> seen = texture(x, (32.0, 32.0), fovea=10.0)
    >>> bool((seen == x)[..., 32, 32].all()), bool((seen == x)[..., 5, 5].any())
    (True, False)
    """
    at = single(fixation, x).double()
    wide = x.double()  # covariances of a few grey pixels are all but singular
    if not 0 <= scaling < 2 or fovea <= 0 or rounds < 1:
        raise LayoutError(
            f"scaling={scaling}, fovea={fovea}, rounds={rounds}", hint="0 <= scaling < 2, a radius in pixels, 1 or more"
        )
    if scaling == 0:
        return x.clone()
    labels, count = regions(at, wide, scaling, fovea)
    wanted = [_moments(one, labels, count) for one in bands(wide, scales, orientations)]
    generator = torch.Generator().manual_seed(seed)
    made = torch.randn(x.shape[1:], generator=generator, dtype=torch.float64).to(wide).expand_as(wide)
    pooled = (labels >= 0)[:, None] & _enough(labels, count, x.shape[1])[:, None]
    for _ in range(rounds):
        parts = [_given(one, labels, *w) for one, w in zip(bands(made, scales, orientations), wanted, strict=True)]
        made = torch.where(pooled, torch.stack(parts).sum(0), wide)
    return made.to(x.dtype)


def regions(at: Float[Tensor, "b 2"], x: Pictures, scaling: float, fovea: float) -> tuple[Int[Tensor, "b h w"], int]:
    """The pooling region of each pixel, -1 in the fovea, and how many there may be, over all pictures.

    Ring k reaches from fovea q^k to fovea q^(k + 1), q = (1 + s / 2) / (1 - s / 2), so that its width is s times its
    middle; each has round(2 pi / s) wedges, so that regions are about as long as wide.
    """
    y, across = middles(x)
    r = distances(at[:, None], y, across)
    q, wedges = (1 + scaling / 2) / (1 - scaling / 2), max(1, round(2 * math.pi / scaling))
    theta = torch.atan2(y[:, None] - at[:, 1, None, None], across - at[:, 0, None, None]) % (2 * math.pi)
    ring = ((r / fovea).log() / math.log(q)).floor().long()
    wedge = (theta * wedges / (2 * math.pi)).long().clamp_max(wedges - 1)
    most = (int(ring.max().clamp_min(0)) + 1) * wedges
    own = torch.arange(len(x), device=x.device)[:, None, None] * most + ring * wedges + wedge
    return torch.where(ring >= 0, own, -torch.ones_like(own)), most * len(x)


Moments = tuple[Float[Tensor, "r c"], Float[Tensor, "r c c"]]


def _moments(band: Pictures, labels: Tensor, count: int) -> Moments:
    """Mean of the channels and Cholesky factor of their covariance, of each region."""
    flat, where = band.movedim(1, -1).flatten(0, 2), labels.flatten()
    flat, where = flat[where >= 0], where[where >= 0]
    number = torch.bincount(where, minlength=count).clamp_min(1).to(flat)
    mean = flat.new_zeros(count, flat.shape[1]).index_add(0, where, flat) / number[:, None]
    off = flat - mean[where]
    outer = (off[:, :, None] * off[:, None, :]).flatten(1)
    spread = outer.new_zeros(count, outer.shape[1]).index_add(0, where, outer) / number[:, None]
    spread = spread.unflatten(1, (flat.shape[1], -1))
    ridge = 1e-6 * spread.diagonal(dim1=1, dim2=2).mean(1) + 1e-12
    return mean, torch.linalg.cholesky(spread + ridge[:, None, None] * torch.eye(flat.shape[1]).to(flat))


def _given(band: Pictures, labels: Tensor, mean: Tensor, factor: Tensor) -> Pictures:
    """A band with other means and covariances."""
    own_mean, own_factor = _moments(band, labels, len(mean))
    change = factor @ torch.linalg.inv(own_factor)
    at = labels.clamp_min(0)
    off = band.movedim(1, -1) - own_mean[at]
    return (mean[at] + (change[at] @ off[..., None])[..., 0]).movedim(-1, 1)


def _enough(labels: Tensor, count: int, channels: int) -> Tensor:
    """Whether a pixel's region has pixels enough for a covariance."""
    number = torch.bincount(labels[labels >= 0], minlength=count)
    return number[labels.clamp_min(0)] > 4 * channels
