"""Geisler and Perry: at each place only the spatial frequencies that an eye resolves so far from its gaze."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError
from regard.gaze.foveation._shared import Fixation, Pictures, eccentricity
from regard.gaze.predictors._shared import blur
from regard.registry import method

ALPHA, THRESHOLD = 0.106, 1 / 64  # decay with frequency (per cycle a degree), least contrast seen
SHARPEST = 0.5  # cycles a pixel: no picture holds finer ones


@method(
    "gaze.foveation",
    paper="geisler-perry",
    claim="half of the contrast passes at the cut-off; several fixations are the nearest one; the gaze stays exact",
    source="Geisler and Perry 1998; cut-off of the eye as they give it",
    needs={"x", "fixation"},
    differs="Gaussian levels in the place of their pyramid",
    unit="colour",
)
def acuity(
    x: Pictures, fixation: Fixation, *, per_degree: float = 24.0, half: float = 2.3, levels: int = 7
) -> Pictures:
    """Two neighbours of a stack of ever blurrier pictures, mixed so that the cut-off is f_c(e) of `cutoff`.

    Level i passes half of its contrast at h_i = 2^-(i + 1) cycles a pixel, T_i(f) = 2^-(f / h_i)^2. Where
    h_i <= f_c <= h_(i - 1), level i - 1 weighs (.5 - T_i(f_c)) / (T_(i - 1)(f_c) - T_i(f_c)), level i the rest: half of
    the contrast passes at f_c. Level 0 is the picture itself, kept exactly wherever f_c is over .5 cycles a pixel.
    Several fixations: the nearest counts.

    x [B, C, H, W]; fixation (x, y) in pixels, [2], [B, 2] or [B, F, 2]; per_degree: pixels of a degree of visual angle;
    half: eccentricity in degrees at which the cut-off halves (inf: no fovea, all sharp). Differentiable in both.
    Raises LayoutError, DegenerateError, ImageError. Source: Geisler and Perry 1998, doi 10.1117/12.320120.

    >>> import torch
    >>> x = torch.rand(1, 3, 40, 60, generator=torch.Generator().manual_seed(0))
    >>> bool((acuity(x, (30.0, 20.0), per_degree=8.0) == x)[0, 0, 20, 30])
    True
    """
    share = weights(cutoff(eccentricity(fixation, x) / scale(per_degree), half=half) / per_degree, levels)
    used = share.flatten(2).amax((0, 2)) > 0
    kept = torch.zeros_like(x)
    for i in used.nonzero()[:, 0].tolist():
        kept = kept + share[:, i, None] * blur(x, sigma_of(i))
    return kept


def cutoff(degrees: Float[Tensor, "*s"], *, half: float = 2.3) -> Float[Tensor, "*s"]:
    """f_c(e) = ln(1 / CT0) / (alpha (1 + e / e2)) in cycles a degree: CT0 = 1/64, alpha = .106, e2 = half."""
    if not half > 0:
        raise LayoutError(f"half={half}", hint="degrees at which acuity halves, as 2.3")
    return math.log(1 / THRESHOLD) / (ALPHA * (1 + degrees / half))


def weights(cycles: Float[Tensor, "b h w"], levels: int) -> Float[Tensor, "b levels h w"]:
    """How much of each level passes half of the contrast at so many cycles a pixel; at each place they sum to 1."""
    if levels < 2:
        raise LayoutError(f"levels={levels}", hint="2 or more")
    peaks = [SHARPEST / 2**i for i in range(levels)]
    f = cycles.clamp(peaks[-1], peaks[0])
    passed = [torch.exp2(-((f / h) ** 2)) for h in peaks]
    found = torch.zeros((len(f), levels, *f.shape[1:]), dtype=f.dtype, device=f.device)
    for i in range(1, levels):
        here = (f <= peaks[i - 1]) & ((f > peaks[i]) if i < levels - 1 else (f >= peaks[i]))
        upper = (0.5 - passed[i]) / (passed[i - 1] - passed[i])
        found[:, i - 1] = found[:, i - 1] + torch.where(here, upper, torch.zeros_like(upper))
        found[:, i] = found[:, i] + torch.where(here, 1 - upper, torch.zeros_like(upper))
    return found


def sigma_of(level: int) -> float:
    """Pixels of the Gaussian that halves contrast at h_level cycles a pixel; 0 for the picture itself."""
    return math.sqrt(math.log(2) / 2) / math.pi * 2**level / SHARPEST if level else 0.0


def scale(per_degree: float) -> float:
    """Pixels of a degree, or LayoutError."""
    if not per_degree > 0:
        raise LayoutError(f"per_degree={per_degree}", hint="pixels of one degree of visual angle, as 24.0")
    return per_degree
