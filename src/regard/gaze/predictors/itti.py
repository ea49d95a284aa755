"""Itti-Koch: centre against surround in intensity, colour and orientation, at several scales."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.gaze.predictors._pyramid import colours, oriented, pyramid, sized
from regard.gaze.predictors._shared import Pictures, as_map, blur, check_pictures, shrunk
from regard.registry import method
from regard.subjects.values import MapValues

CENTRES, DELTAS = (2, 3, 4), (3, 4)
Promotion = Literal["peaks", "iterative"]


@method(
    "gaze.predictors",
    paper="itti-koch",
    claim="singletons pop out; each step equals its slow form",
    source="Itti, Koch and Niebur 1998; the iterative promotion from Itti and Koch 2000",
    needs={"x"},
    differs="every picture is brought to one width, so that nine scales exist; maps meet at 1/16 of it",
    unit="conspicuity",
)
def itti(
    x: Pictures, *, width: int = 640, promote: Promotion = "peaks", rectified: bool = False, rounds: int = 3
) -> MapValues:
    """Mean conspicuity of intensity, colour and orientation: sums over c in 2..4, d in 3, 4 of N(|c - (c + d)|).

    N: to 0..1, times (1 - mean of the other local maxima)^2, which favours maps with one peak; "iterative" lets each
    map compete `rounds` times through a difference of Gaussians (2 and 25 % of the width, gains .5 and 1.5, less .02),
    which leaves few peaks: good for search arrays, poor for photos (AUC .56 against .67 on OSIE).
    rectified: centre above and centre below surround are two maps each, also of colour. As the paper writes it,
    opponents are added across scales, so that a singleton among distractors of the opposite colour is lost.

    width: longer side in pixels; smaller pictures are enlarged to it.

    x [B, 3, H, W] in 0..1; gives [B, h, w]. Raises ImageError for other pictures.

    >>> import torch
    >>> itti(torch.rand(1, 3, 30, 40, generator=torch.Generator().manual_seed(0))).grid
    Grid(h=30, w=40, prefix=0)
    """
    check_pictures(x)
    big = shrunk(x, width, enlarge=True)
    bright, opponent = colours(big)
    depth = max(CENTRES) + max(DELTAS)
    scales = pyramid(torch.cat([bright, opponent], 1), depth)
    size = (scales[4].shape[-2], scales[4].shape[-1])
    total = torch.zeros_like(scales[4][:, 0])
    for which in ("intensity", "colour", "orientation"):
        maps = _contrasts(which, scales, rectified)
        promoted = [_promoted(sized(one, size), promote, rounds) for one in maps]
        conspicuity = torch.stack([one.sum(1) for one in promoted]).sum(0)
        total = total + _promoted(conspicuity[:, None], promote, rounds)[:, 0] / 3
    return as_map(total)


def _contrasts(which: str, scales: list[Tensor], rectified: bool) -> list[Float[Tensor, "b c h w"]]:
    """Centre against surround for every pair of scales, at the centre's size; several channels side by side."""
    part = {"intensity": slice(0, 1), "colour": slice(1, 3), "orientation": slice(0, 1)}[which]
    wanted = {level for c in CENTRES for level in (c, *(c + d for d in DELTAS))}
    chosen = {k: oriented(scales[k][:, part]) if which == "orientation" else scales[k][:, part] for k in wanted}
    found = []
    for c in CENTRES:
        for d in DELTAS:
            centre = chosen[c]
            surround = F.interpolate(chosen[c + d], size=centre.shape[-2:], mode="bilinear", align_corners=False)
            if rectified:
                found.append(torch.cat([(centre - surround).relu(), (surround - centre).relu()], 1))
            else:
                found.append((centre + surround if which == "colour" else centre - surround).abs())
    return found


def _promoted(maps: Float[Tensor, "b c h w"], promote: Promotion, rounds: int) -> Float[Tensor, "b c h w"]:
    low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
    unit = torch.where(high - low > 1e-5, (maps - low) / (high - low).clamp_min(1e-5), torch.zeros_like(maps))
    if promote == "iterative":
        side = maps.shape[-1]
        for _ in range(rounds):
            near, far = blur(unit, 0.02 * side, edge="constant"), blur(unit, 0.25 * side, edge="constant")
            unit = (unit + 0.5**2 * near - 1.5**2 * far - 0.02).relu()
        return unit
    return unit * (1 - _other_peaks(unit)) ** 2


def _other_peaks(unit: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c 1 1"]:
    """Mean of the local maxima (3 x 3, above 0.05) other than the highest; 0 where there is none."""
    peak = (unit == F.max_pool2d(unit, 3, stride=1, padding=1)) & (unit > 0.05)
    count, total = peak.sum((2, 3), keepdim=True) - 1, (unit * peak).sum((2, 3), keepdim=True)
    return torch.where(count > 0, (total - 1) / count.clamp_min(1), torch.zeros_like(total))
