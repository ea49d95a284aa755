"""Extremal perturbation: of all smooth masks of a given area, the one that holds the score best."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.explainers._masks import Share, enlarged, learn, small_grid
from regard.explainers._pixels import Baseline, on_pixels
from regard.registry import method
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues

REACH, COLDNESS = 3.0, 20.0  # cells that a seed covers; how near the smooth maximum is to the maximum
OUTSIDE = -1e9  # of a seed that is not there: it has no weight in a smooth maximum
WEIGHT, GROWTH, RATE = 300.0, 16.4, 0.05  # of the area; by how much it grows until the end, 1.0035^800


@method(
    "explainers",
    paper="extremal-perturbation",
    claim="each mask has its area to 2 %, 0 and 1 but for its edge, and lies on planted evidence",
    source="equations 3 to 5 and section 3.3: area constraint by sorting, smooth masks by a smooth maximum",
    needs={"score"},
    differs="pictures are blended with a baseline instead of eight levels of blur; the smooth maximum is taken on the "
    "small grid; Adam, and 300 steps over which the area's weight grows as much as over the authors' 800; no flips; "
    "it starts at a half, tilted by 0.05 of the score's slope there, for the order of equal cells would be arbitrary",
    unit="share of areas",
)
def extremal_perturbation(
    x: Tensor, score: Scorer, generator: torch.Generator, *, game: Literal["preserve", "delete"] = "preserve",
    areas: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8), steps: int = 300, side: int = 28,
    baseline: Baseline = "blur",
) -> MapValues:  # fmt: skip
    """The mean over areas of masks that keep just this share of the picture and hold the score (or take it away).

    max_s y'(m x + (1 - m) b) - w mean((sort(m) - r_a)^2), r_a = 0 .. 0 1 .. 1 with a share a of ones; delete: of 1 - m
    in the place of m, least. m_u = smooth maximum over v of k(u - v) s_v, k(d) = exp(-2 max(0, d / 3 - 1/2)^2) in
    cells, of seeds s in 0 .. 1 on a grid of `side` along the shorter side; then enlarged bilinearly. All areas are one
    batch. w grows from 300 to 4,900. y' = (y - y(b)) / (y(x) - y(b)). Gives `[B, H, W]`. Our s: the parameter mask
    m-bar in the paper.

    Raises DegenerateError where the baseline scores as high as the picture, LayoutError for options without a sense.
    Source: Fong, Patrick and Vedaldi 2019, "Understanding Deep Networks via Extremal Perturbations and Smooth Masks".

    >>> import regard as rg, torch
    >>> from functools import partial
    >>> short = partial(rg.explainers.extremal_perturbation, areas=(0.25,), steps=3, side=4, baseline="black")
    >>> model = torch.nn.Sequential(torch.nn.AvgPool2d(8), torch.nn.Flatten())
    >>> x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    >>> rg.explain(model, x, method=short, target=0).values.shape
    (1, 8, 8)
    """
    if not areas or not all(0 < a < 1 for a in areas):
        raise LayoutError(f"areas {areas} of a picture", hint="shares between 0 and 1: areas=(0.05, 0.1, 0.2)")
    replaced, grid = score.baseline(baseline, generator), small_grid(x, side)
    share, sign = Share(score, replaced), 1.0 if game == "preserve" else -1.0
    count = grid[0] * grid[1]
    wanted = torch.stack([torch.arange(count, device=x.device) >= round((1 - a) * count) for a in areas]).double()
    wanted = wanted.repeat_interleave(len(x), 0)
    many, start = x.repeat(len(areas), 1, 1, 1), replaced.repeat(len(areas), 1, 1, 1)

    def loss(seeds: Tensor, step: int) -> Tensor:
        mask = smooth_maximum(seeds)
        large = enlarged(mask if game == "preserve" else 1 - mask, x).to(x)
        told = share(start + large * (many - start))
        off = (mask.flatten(1).sort(1).values - wanted).square().mean(1)
        return -sign * told + WEIGHT * GROWTH ** (step / steps) * off

    tilt = F.adaptive_avg_pool2d(((x - replaced) * score.slope((x + replaced) / 2)).sum(1), grid)
    tilt = tilt.double() / tilt.abs().amax((1, 2), keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
    first = (0.5 + 0.05 * tilt).repeat(len(areas), 1, 1)  # in float64: the order of close cells decides where it goes
    masks = smooth_maximum(learn(first, loss, score, steps=steps, rate=RATE))
    return on_pixels(enlarged(masks, x).unflatten(0, (len(areas), len(x))).mean(0).to(x))


def smooth_maximum(seeds: Float[Tensor, "n h w"]) -> Float[Tensor, "n h w"]:
    """sum_v t_v exp(20 t_v) / sum_v exp(20 t_v) with t_v = k(u - v) s_v, over cells v near u; none lie outside."""
    reach = math.ceil(2 * REACH)
    near = torch.arange(-reach, reach + 1, dtype=seeds.dtype, device=seeds.device)
    distance = (near[:, None].square() + near.square()).sqrt().flatten()
    kernel = torch.exp(-2 * (distance / REACH - 0.5).clamp_min(0).square())
    padded = F.pad(seeds[:, None], (reach,) * 4, value=OUTSIDE)
    told = kernel[:, None, None] * F.unfold(padded, 2 * reach + 1).unflatten(2, seeds.shape[1:])
    return ((COLDNESS * told).softmax(1) * told).sum(1)
