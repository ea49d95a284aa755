"""From a log-polar map back to a picture: what is left for the eye, laid out as it was seen."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from regard.gaze.foveation._shared import Fixation, Pictures, distances, middles, read, single
from regard.gaze.foveation.log_polar import radii
from regard.registry import method


@method(
    "gaze.foveation",
    paper="foveated-retinotopy",
    claim="undoes log_polar but for what lies between its samples, the better the nearer",
    source="Schwartz 1977",
    needs={"polar", "fixation", "size"},
    differs="none",
    unit="as polar",
)
def from_log_polar(
    polar: Float[Tensor, "b c rings wedges"],
    fixation: Fixation,
    size: tuple[int, int],
    *,
    inner: float = 1.0,
    outer: float | None = None,
) -> Pictures:
    """Each pixel from its ring u = rings log(r / inner) / log(outer / inner) - .5 and wedge, bilinear.

    Within the first ring's radius that ring goes on; beyond `outer` the picture is 0. The inverse of `log_polar` but
    for what lies between its samples: sharp at the fixation, ever coarser away from it.

    polar [B, C, rings, wedges] of a picture of `size` (height, width), with the same fixation, inner and outer.
    Differentiable in polar and in the fixation. Raises as `log_polar`.

    >>> import torch
    >>> from_log_polar(torch.ones(1, 1, 4, 8), (4.0, 4.0), (8, 8))[0, 0, 4, 4:]
    tensor([1., 1., 1., 1.])
    """
    canvas = polar.new_empty(len(polar), 1, *size)
    at = single(fixation, canvas)
    inner, outer = radii(canvas, inner, outer)
    rings, wedges = polar.shape[-2:]
    y, x = middles(canvas)
    r = distances(at[:, None], y, x)
    theta = torch.atan2(y[:, None] - at[:, 1, None, None], x - at[:, 0, None, None]) % (2 * math.pi)
    u = rings * (r / inner).log() / math.log(outer / inner)  # the middle of ring k is at k + .5, as of a pixel
    v = wedges * theta / (2 * math.pi)
    wrapped = torch.cat([polar[..., -1:], polar, polar[..., :1]], -1)
    back = read(wrapped, torch.stack([v + 1.5, u], -1), outside="border")
    return torch.where((r <= outer)[:, None], back, torch.zeros_like(back))
