"""Log-polar retinotopy: rings that widen with their distance from the gaze, as the visual cortex lays them out."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.gaze.foveation._shared import Fixation, Pictures, read, single
from regard.registry import method

LogPolar = Float[Tensor, "b c rings wedges"]


@method(
    "gaze.foveation",
    paper="foveated-retinotopy",
    claim="turning rolls its wedges, zooming shifts its rings",
    source="Schwartz 1977",
    needs={"x", "fixation"},
    differs="rings are read from the picture shrunk to their spacing",
    unit="colour",
)
def log_polar(
    x: Pictures,
    fixation: Fixation,
    *,
    rings: int = 64,
    wedges: int = 128,
    inner: float = 1.0,
    outer: float | None = None,
    turn: float = 0.0,
    smooth: bool = True,
) -> LogPolar:
    """The picture at r_u = inner (outer / inner)^((u + .5) / rings) and theta_v = 2 pi v / wedges + turn.

    Turning the picture about the fixation rolls the result along its wedges, zooming shifts it along its rings.
    smooth: a ring is read from the picture shrunk to its own spacing (between two halvings), else the periphery
    aliases. Outside the picture is 0.

    x [B, C, H, W]; fixation (x, y) in pixels, [2] or [B, 2]; inner, outer radii in pixels (outer: half the shorter side
    if not given); turn in radians, clockwise on the screen. Differentiable in x and in the fixation.
    Raises LayoutError, DegenerateError, ImageError. Source: Schwartz 1977, doi 10.1007/BF01885636.

    >>> import torch
    >>> log_polar(torch.ones(1, 3, 32, 32), (16.0, 16.0), rings=5, wedges=8).shape
    torch.Size([1, 3, 5, 8])
    """
    at = single(fixation, x)
    inner, outer = radii(x, inner, outer)
    if min(rings, wedges) < 1:
        raise LayoutError(f"{rings} rings of {wedges} wedges", hint="1 or more")
    r = inner * (outer / inner) ** ((torch.arange(rings, dtype=x.dtype, device=x.device) + 0.5) / rings)
    theta = torch.arange(wedges, dtype=x.dtype, device=x.device) * (2 * math.pi / wedges) + turn
    around = torch.stack([theta.cos(), theta.sin()], -1)
    places = at[:, None, None] + r[:, None, None] * around
    if not smooth:
        return read(x, places)
    level = (r * max(math.log(outer / inner) / rings, 2 * math.pi / wedges)).log2().clamp_min(0)
    found = torch.zeros((*x.shape[:2], rings, wedges), dtype=x.dtype, device=x.device)
    for k in range(math.ceil(float(level.max())) + 1):
        share = (1 - (level - k).abs()).clamp_min(0)
        use = share > 0
        if use.any():
            small, scale = halved(x, k)
            found[:, :, use] = found[:, :, use] + share[use, None] * read(small, places[:, use] * scale)
    return found


def radii(x: Pictures, inner: float, outer: float | None) -> tuple[float, float]:
    """The two radii in pixels, or LayoutError."""
    outer = min(x.shape[-2:]) / 2 if outer is None else outer
    if not 0 < inner < outer:
        raise LayoutError(f"radii from {inner} to {outer} pixels", hint="0 < inner < outer")
    return inner, outer


def halved(x: Pictures, times: int) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, " 2"]]:
    """A picture halved so many times, smoothed as it shrinks, and what (x, y) must be multiplied with to read it."""
    if not times:
        return x, x.new_ones(2)
    size = [max(1, round(side / 2**times)) for side in x.shape[-2:]]
    small = F.interpolate(x, size=size, mode="bilinear", antialias=True, align_corners=False)
    return small, x.new_tensor([size[1] / x.shape[-1], size[0] / x.shape[-2]])
