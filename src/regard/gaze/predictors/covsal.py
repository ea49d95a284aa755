"""CovSal: regions whose covariance of simple features is unlike that of their like-placed neighbours."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.gaze.predictors._shared import Pictures, as_map, blur, check_pictures, lab, shrunk
from regard.registry import method
from regard.subjects.values import MapValues

FEATURES = 7


@method(
    "gaze.predictors",
    paper="covsal",
    claim="sigma points hold the covariance; an odd patch scores highest; AUC above .75 on OSIE",
    source="Erdem and Erdem 2013, the model with means",
    needs={"x"},
    differs="patches do not overlap; the centre prior of the authors' code is left out",
    unit="distance",
)
def covsal(x: Pictures, *, width: int = 512, alike: float = 0.1, means: bool = True, sigma: float = 0.02) -> MapValues:
    """Product over five scales of the mean distance d / (1 + r) of each region from the share `alike` most like it.

    Features L, a, b, |dx|, |dy|, x, y; a region is its sigma points: the columns of the Cholesky factor of its
    covariance, times +- sqrt(7), and (means) its mean; d is their Euclidean distance, r the distance in regions.
    Regions have 8, 16, ... 128 pixels of 512; each scale is brought to 0..1 first. sigma: of the blur, in widths.

    width: longer side in pixels at which it is computed.

    x [B, 3, H, W] in 0..1; gives [B, h, w]. Raises ImageError for other pictures.

    >>> import torch
    >>> covsal(torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))).grid
    Grid(h=8, w=8, prefix=0)
    """
    check_pictures(x)
    small = shrunk(x, width)
    features = _features(small)
    side = 8
    size = (-(-small.shape[-2] // side), -(-small.shape[-1] // side))
    total = torch.ones(len(x), *size, dtype=x.dtype, device=x.device)
    for power in range(5):
        region = side * 2**power
        if 2 * region > min(small.shape[-2:]):
            break  # one row of regions has no neighbours to differ from
        points, shape = sigma_points(features, region, means)
        values = torch.stack([_odd(one, shape, alike) for one in points]).unflatten(1, shape)
        low, high = values.amin((1, 2), keepdim=True), values.amax((1, 2), keepdim=True)
        unit = (values - low) / (high - low).clamp_min(1e-12)
        total = total * (0.1 + F.interpolate(unit[:, None], size=size, mode="bilinear", align_corners=False)[:, 0])
    return as_map(blur(total, sigma * size[1]))


def _features(x: Pictures) -> Float[Tensor, "b 7 h w"]:
    colours = lab(x)
    light = F.pad(colours[:, :1], (1, 1, 1, 1), mode="replicate")
    dx, dy = (
        (light[:, :, 1:-1, 2:] - light[:, :, 1:-1, :-2]).abs(),
        (light[:, :, 2:, 1:-1] - light[:, :, :-2, 1:-1]).abs(),
    )
    h, w = x.shape[-2:]
    steps = [torch.linspace(0, 1, n, dtype=x.dtype, device=x.device) for n in (h, w)]
    y, across = torch.meshgrid(*steps, indexing="ij")
    return torch.cat([colours / 100, dx / 100, dy / 100, across.expand(len(x), 1, h, w), y.expand(len(x), 1, h, w)], 1)


def sigma_points(
    features: Float[Tensor, "b f h w"], region: int, means: bool
) -> tuple[Float[Tensor, "b n d"], tuple[int, int]]:
    """Columns of the Cholesky factor (with its mean added both ways, and the mean) of every region."""
    _, f, h, w = features.shape
    shape = (-(-h // region), -(-w // region))
    fill = (0, shape[1] * region - w, 0, shape[0] * region - h)
    cells = F.unfold(F.pad(features, fill, mode="replicate"), region, stride=region)
    cells = cells.unflatten(1, (f, region * region)).permute(0, 3, 1, 2)
    mean = cells.mean(-1, keepdim=True)
    centred = cells - mean
    covariance = centred @ centred.mT / (region * region - 1)
    lower = torch.linalg.cholesky(covariance + 1e-5 * torch.eye(f, dtype=features.dtype, device=features.device))
    spread = lower.flatten(2) * (2 * f) ** 0.5  # +- the same columns: their distance is sqrt 2 of one side's
    return torch.cat([spread, mean[..., 0] * (2 * f + 1) ** 0.5], -1) if means else spread, shape


def _odd(points: Float[Tensor, "n d"], shape: tuple[int, int], alike: float) -> Float[Tensor, " n"]:
    """Mean of d / (1 + r) over the regions most like each."""
    places = torch.cartesian_prod(*(torch.arange(n, dtype=points.dtype, device=points.device) for n in shape))
    apart = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    apart = apart + torch.diag(torch.full((len(points),), float("inf"), dtype=points.dtype, device=points.device))
    count = max(1, round(alike * (len(points) - 1)))
    nearest, at = apart.topk(count, dim=1, largest=False)
    r = (places[:, None] - places[at]).norm(dim=-1)
    return (nearest / (1 + r)).mean(1)
