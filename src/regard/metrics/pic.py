"""PIC: how much of the score comes back for how many bytes of the picture: softmax and accuracy information curves."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torch.nn import functional as F

from regard.errors import DegenerateError, LayoutError, MethodError
from regard.metrics._linear_infill import linear_infill
from regard.registry import method
from regard.subjects.bank import BATCH
from regard.subjects.forward import Forward
from regard.subjects.target import logits_of
from regard.subjects.values import ScoreValues

THRESHOLDS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.10, 0.13, 0.21, 0.34, 0.5, 0.75)
POINTS = 1000
KINDS, INFILLS = ("softmax", "accuracy"), ("fast", "linear")


@method(
    "metrics",
    paper="xrai",
    claim="the authors' package on the same map, seed pixels and codec; a map of the evidence beats its inverse",
    source="section 4: performance information curves (SIC and AIC)",
    needs={"forward", "x"},
    differs="'fast' fills by the linear system of ROAD instead of a triangulation; 8 bits between the picture's lowest "
    "and highest value; pictures that score low are not left out unless `least` asks for it",
    unit="area",
)
def pic(
    maps: Float[Tensor, "n h w"],
    x: Tensor,
    forward: Forward,
    generator: torch.Generator,
    *,
    kind: Literal["softmax", "accuracy"] = "softmax",
    infill: Literal["fast", "linear"] = "fast",
    thresholds: tuple[float, ...] = THRESHOLDS,
    seeds: float = 0.01,
    least: float = 0.0,
    random: int = 4,
) -> ScoreValues:
    """Area under the score against the size of a picture of which only the map's highest pixels are known.

    Pixels at or above the map's quantile 1 - t, a random share `seeds` of all and the corners are kept, the others
    filled in. x: size as lossless WebP, y: probability of the target (softmax, SIC) or whether it comes first
    (accuracy, AIC); both from 0 for the seeds alone to 1 for the whole picture, y the highest so far; 1000 points.
    Higher is better. "linear" interpolates over a triangulation as the paper does (up to a second a picture of 224
    pixels), "fast" solves one sparse system. Sizes depend on the codec's version. The null: `random` maps of the same
    values in random places.

    Raises DegenerateError where the paper leaves a picture out: its probability is under `least`, or the seeds alone
    score as high or are as large. Raises MethodError, LayoutError for options that cannot be.
    Source: Kapishnikov et al. 2019, "XRAI: Better Attributions Through Regions".

    >>> import regard as rg
    >>> from functools import partial
    >>> from regard.testing.planted import PlantedCNN, planted_pictures
    >>> x = planted_pictures([(2, 5)])
    >>> m = rg.explain(PlantedCNN(), x, method="gradcam", target=1)
    >>> 0 <= rg.score(m, PlantedCNN(), x, metric=partial(rg.metrics.pic, random=1)).value <= 1
    True
    """
    _check(kind, infill, thresholds, seeds)
    known = seed_pixels(x, seeds, generator)
    empty, whole = filled(x, known[None], infill), x
    ends, sizes = (torch.cat(both) for both in zip(*(judged(p, x, forward, kind) for p in (empty, whole)), strict=True))
    if forward.whole < least or ends[0] >= ends[1] or sizes[0] >= sizes[1]:
        told = f"p {forward.whole:.3f}; the seeds alone score {ends[0]:.3f} of {ends[1]:.3f} in {int(sizes[0])} of"
        hint = "the paper leaves such a picture out; other seeds, or another x"
        raise DegenerateError(f"{told} {int(sizes[1])} bytes", hint=hint)
    curves = []
    for one in maps[: 1 + random]:
        keep = torch.stack([highest(one, t, x) for t in thresholds]) | known
        y, at = judged(filled(x, keep, infill), x, forward, kind)
        scaled = [((v - e[0]) / (e[1] - e[0])).clamp(0, 1) for v, e in ((at, sizes), (y, ends))]
        curves.append(curve_of(*scaled))
    share = torch.linspace(0, 1, POINTS + 1, dtype=torch.float64)
    areas = torch.trapezoid(torch.stack(curves), share)
    return ScoreValues(
        value=float(areas[0]),
        null=areas[1:],
        convention=f"{kind}, {infill} in-fill, {len(thresholds)} thresholds, {seeds:.2%} of the pixels as seeds",
        higher_is_better=True,
        curve=torch.stack([share, curves[0]]),
        null_curves=torch.stack(curves[1:]) if len(curves) > 1 else None,
    )


def _check(kind: str, infill: str, thresholds: tuple[float, ...], seeds: float) -> None:
    for wrong, known in ((kind, KINDS), (infill, INFILLS)):
        if wrong not in known:
            raise MethodError.unknown("choice", wrong, known, see=f"one of {', '.join(known)}")
    if not all(0 < t < 1 for t in thresholds) or not thresholds or not 0 <= seeds < 1:
        raise LayoutError(f"thresholds {thresholds} over {seeds} of the pixels", hint="shares between 0 and 1")


def seed_pixels(x: Tensor, share: float, generator: torch.Generator) -> Bool[Tensor, "H W"]:
    """A random share of the pixels, and the corners: without those a triangulation would not cover the picture."""
    known = torch.zeros(x.shape[-2:], dtype=torch.bool)
    known.view(-1)[torch.randperm(known.numel(), generator=generator)[: int(known.numel() * share)]] = True
    known[[0, 0, -1, -1], [0, -1, 0, -1]] = True
    return known


def highest(one: Float[Tensor, "h w"], share: float, x: Tensor) -> Bool[Tensor, "H W"]:
    """Pixels whose value is at or above the quantile 1 - share of all pixels."""
    full = F.interpolate(one.double()[None, None], size=x.shape[-2:], mode="nearest-exact")[0, 0]
    return full >= float(np.quantile(full.numpy(), 1 - share))  # torch's refuses large maps


def filled(x: Tensor, keep: Bool[Tensor, "n H W"], infill: str) -> Float[Tensor, "n c H W"]:
    """The picture with what is not kept filled in from around it."""
    if infill == "fast":
        return torch.cat([linear_infill(x, part.to(x.device)) for part in keep.split(BATCH)])
    from scipy.interpolate import LinearNDInterpolator

    made = x.cpu().expand(len(keep), -1, -1, -1).clone()
    for picture, stays in zip(made, keep, strict=True):
        if bool(stays.all()):
            continue
        values = picture[:, stays].T.double().numpy()
        there, wanted = (torch.nonzero(which).numpy() for which in (stays, ~stays))
        picture[:, ~stays] = torch.from_numpy(LinearNDInterpolator(there, values)(wanted).T).to(picture)
    return made.to(x.device)


def judged(
    pictures: Float[Tensor, "n c H W"], x: Tensor, forward: Forward, kind: str
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Scores of pictures in eight bits between x's lowest value and its highest, and their sizes as WebP in bytes."""
    low, step = x.amin(), (x.amax() - x.amin()).clamp_min(1e-12) / 255
    bits = ((pictures - low) / step).round().clamp(0, 255)
    sizes = [size_of(one) for one in bits.byte().permute(0, 2, 3, 1).cpu()]
    made = []
    for part in (bits * step + low).split(BATCH):
        if kind == "softmax":
            made.append(forward(part).double().cpu())
            continue
        forward.count += len(part)
        with torch.no_grad():
            first = logits_of(forward.model(part)).argmax(1).cpu()
        made.append(torch.isin(first, torch.tensor(forward.target.index)).double())
    return torch.cat(made), torch.tensor(sizes, dtype=torch.float64)


def size_of(picture: UInt8[Tensor, "H W c"]) -> int:
    """Bytes as lossless WebP."""
    from PIL import Image

    out = io.BytesIO()
    grey = picture.shape[2] != 3
    Image.fromarray((picture[..., 0] if grey else picture).numpy()).save(out, format="webp", lossless=True, quality=100)
    return out.tell()


def curve_of(at: Float[Tensor, " t"], y: Float[Tensor, " t"]) -> Float[Tensor, " p"]:
    """The highest score so far by size, from 0 at 0 to 1 at 1, at equal steps."""
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    sizes, best = torch.cat([at, zero, one]), torch.cat([y.cummax(0).values, zero, one])
    order = sizes.argsort(stable=True)
    share = np.linspace(0, 1, POINTS + 1)
    return torch.from_numpy(np.interp(share, sizes[order].numpy(), best[order].numpy()))
