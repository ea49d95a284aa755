"""Where a clip changes otherwise than around: flicker between frames, centre against surround, with a short memory."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.gaze.predictors._pyramid import pyramid
from regard.gaze.predictors._shared import check_pictures, grey, shrunk

PAIRS = ((0, 2), (0, 3), (1, 3), (1, 4))  # levels of centre and surround


def flicker(frames: Float[Tensor, "t 3 H W"], *, memory: float = 3.0, width: int = 160) -> Float[Tensor, "t h w"]:
    """Saliency of every frame: sum over scales of |c - s| of the change since the frame before, held for a while.

    f_t = sum over (c, s) of relu(D_c - D_s), D_k level k of a dyadic pyramid of |I_t - I_(t - 1)|, I the grey frame;
    S_t = a S_(t - 1) + (1 - a) f_t, a = exp(-1 / memory). The first frame has nothing before it: S_0 = 0. A change of
    the whole picture has no surround, so it counts little.

    frames [T, 3, H, W] in 0..1, two or more; memory in frames (0: none); width: longer side in pixels at which it is
    computed. Raises ImageError, LayoutError. Source: Itti, Dhavale and Pighin 2003, doi 10.1117/12.512618 (the flicker
    channel; motion energy in directions is left out).

    >>> still = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)).expand(4, -1, -1, -1)
    >>> bool((flicker(still) == 0).all())
    True
    """
    check_pictures(frames)
    if len(frames) < 2 or memory < 0:
        raise LayoutError(f"{len(frames)} frames, memory={memory}", hint="two frames or more, memory not negative")
    bright = grey(shrunk(frames, width))
    change = (bright[1:] - bright[:-1]).abs()[:, None]
    levels = pyramid(change, max(s for _, s in PAIRS))
    size = (change.shape[-2], change.shape[-1])
    full = [F.interpolate(one, size=size, mode="bilinear", align_corners=False)[:, 0] for one in levels]
    fresh = torch.stack([(full[c] - full[s]).relu() for c, s in PAIRS]).sum(0)
    keep = math.exp(-1 / memory) if memory else 0.0
    held = [torch.zeros_like(bright[0])]
    for one in fresh:
        held.append(keep * held[-1] + (1 - keep) * one)
    return torch.stack(held)
