"""Visual search without training: the target's features, slid over the scene, say where to look (IVSN, eccNET)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import DegenerateError, LayoutError
from regard.gaze.data import Scanpath
from regard.gaze.predictors._shared import blur, box

LOSERS = 0.001  # share of a map without competition: it ranks the places that competition has brought to nothing


@dataclass(frozen=True)
class Eccentricity:
    """How pooling grows away from the fixation: window(e) = 1 + slope (2 e - fovea) cells where 2 e > fovea, else 1.

    slope: one for each layer, a window's growth in pixels a pixel (eccNET: 0, 0, .07, .16, .32 in its five pools);
    fovea: pixels across. e is in pixels of the picture, a window in pixels too before it is turned into cells.
    """

    slope: tuple[float, ...] = (0.07, 0.16, 0.32)
    fovea: float = 40.0
    widest: int = 15


def search(
    picture: Tensor,
    target: Tensor,
    layers: Callable[[Tensor], Sequence[Tensor]],
    *,
    found: tuple[float, float, float, float] | None = None,
    fixations: int = 20,
    radius: float = 20.0,
    eccentricity: Eccentricity | None = None,
    rounds: int = 3,
    centred: bool = False,
) -> Scanpath:
    """Fixations on the peaks of target features in the scene, none twice, until the target is found.

    For each layer the target's features are the kernel that is slid over the scene's; each map is brought to 0..1,
    weighted by its peak, competes with itself through a difference of Gaussians (`rounds` times), and they are added
    up. The highest place outside discs of `radius` pixels about earlier fixations is next; the first is the middle of
    the picture. eccentricity: the scene's features are pooled the wider the farther from the fixation (eccNET); None
    is IVSN. centred: each layer's mean over the scene is taken from both first, so that what all items share does
    not count.

    picture, target [1, C, H, W] · layers: pictures -> feature maps [B, C, h, w], any CNN's, the same channels
    of both · found: box (left, top, right, bottom) of the target in pixels, an oracle: "this is it"; None never stops.
    The eccNET network pools inside; here what a layer gives is pooled. Durations are NaN; the path holds the start.

    Raises LayoutError for layers that do not match, DegenerateError for a scene without contrast.

    >>> scene = torch.zeros(1, 3, 32, 32); scene[:, 0, 20:24, 4:8] = 1.0; scene[:, 1, 4:8, 20:24] = 1.0
    >>> red = torch.zeros(1, 3, 4, 4); red[:, 0] = 1.0
    >>> search(scene, red, lambda v: [v], found=(4.0, 20.0, 8.0, 24.0), radius=4.0).xy.round().tolist()
    [[16.0, 16.0], [6.0, 22.0]]
    """
    with torch.no_grad():
        scene, wanted = [f.double() for f in layers(picture)], [f.double() for f in layers(target)]
    _check(scene, wanted, eccentricity, fixations)
    if centred:
        means = [f.mean((2, 3), keepdim=True) for f in scene]
        scene, wanted = ([f - m for f, m in zip(fs, means, strict=True)] for fs in (scene, wanted))
    size = (picture.shape[-2], picture.shape[-1])
    y, x = np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5
    path = [(size[1] / 2, size[0] / 2)]
    open_ = np.ones(size, dtype=bool)
    heat: np.ndarray | None = None
    while len(path) < fixations and not _inside(path[-1], found):
        px, py = path[-1]
        open_ &= (y[:, None] - py) ** 2 + (x - px) ** 2 > radius**2
        if not open_.any():
            break
        if heat is None or eccentricity is not None:  # without it nothing depends on the fixation
            seen = scene if eccentricity is None else _pooled(scene, path[-1], size, eccentricity)
            heat = target_map(seen, wanted, size, rounds=rounds).cpu().numpy()
        row, column = divmod(int(np.where(open_, heat, -np.inf).argmax()), size[1])
        path.append((float(x[column]), float(y[row])))
    return Scanpath(path, np.full(len(path), np.nan), observer="search", size=size)


def target_map(
    scene: Sequence[Tensor], wanted: Sequence[Tensor], size: tuple[int, int], *, rounds: int = 3
) -> Float[Tensor, "H W"]:
    """Where the target's features are in the scene, summed over layers, at the picture's size.

    Raises DegenerateError for a match that is constant.
    """
    total = torch.zeros(size, dtype=scene[0].dtype, device=scene[0].device)
    for one, kernel in zip(scene, wanted, strict=True):
        high, wide = kernel.shape[-2:]
        padded = F.pad(one, (wide // 2, (wide - 1) // 2, high // 2, (high - 1) // 2))
        match = F.conv2d(padded, kernel)
        low, peak = match.aminmax()
        if not bool(peak > low):
            raise DegenerateError("a layer's match with the target is constant", hint="a scene with contrast")
        plain = unit = (match - low) / (peak - low)
        side = max(one.shape[-2:])
        for _ in range(rounds):
            near, far = blur(unit, 0.02 * side, edge="constant"), blur(unit, 0.25 * side, edge="constant")
            unit = (unit + 0.5**2 * near - 1.5**2 * far - 0.02).relu()
        unit = unit / unit.max().clamp_min(1e-12) + LOSERS * plain
        total += peak.abs() * F.interpolate(unit, size=size, mode="bilinear", align_corners=False)[0, 0]
    return total


def eccentric_pool(
    features: Float[Tensor, "1 c h w"], windows: Float[Tensor, "h w"], widest: int = 15
) -> Float[Tensor, "1 c h w"]:
    """Mean over a square about each cell whose odd width is the nearest to windows[h, w].

    >>> f = torch.rand(1, 2, 5, 6)
    >>> torch.equal(eccentric_pool(f, torch.ones(5, 6)), f)
    True
    """
    odd = (2 * ((windows - 1) / 2).round() + 1).clamp(1, widest).int()
    pooled = torch.zeros_like(features)
    for width in odd.unique().tolist():
        pooled = torch.where(odd == width, box(features, width) if width > 1 else features, pooled)
    return pooled


def _pooled(scene: Sequence[Tensor], at: tuple[float, float], size: tuple[int, int], how: Eccentricity) -> list[Tensor]:
    pooled = []
    for one, slope in zip(scene, how.slope, strict=True):
        h, w = one.shape[-2:]
        y = (torch.arange(h, dtype=one.dtype, device=one.device) + 0.5) * size[0] / h - at[1]
        x = (torch.arange(w, dtype=one.dtype, device=one.device) + 0.5) * size[1] / w - at[0]
        away = torch.hypot(y[:, None], x)
        grown = slope * (2 * away - how.fovea).clamp_min(0) / math.sqrt(size[0] * size[1] / (h * w))
        pooled.append(eccentric_pool(one, 1 + grown, how.widest))
    return pooled


def _inside(at: tuple[float, float], found: tuple[float, float, float, float] | None) -> bool:
    return found is not None and found[0] <= at[0] < found[2] and found[1] <= at[1] < found[3]


def _check(scene: list[Tensor], wanted: list[Tensor], how: Eccentricity | None, fixations: int) -> None:
    channels = [[f.shape[1] for f in some] for some in (scene, wanted)]
    if not scene or channels[0] != channels[1] or fixations < 1:
        raise LayoutError(
            f"layers of {channels[0]} and {channels[1]} channels, {fixations} fixations",
            hint="the same layers of picture and target, one at least, and one fixation or more",
        )
    if how is not None and len(how.slope) != len(scene):
        raise LayoutError(
            f"{len(how.slope)} slopes for {len(scene)} layers", hint="Eccentricity(slope=(...)), one each"
        )
