"""FDISS: how much of the foveal discs of one path the other covers."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError
from regard.gaze.comparisons._shared import Higher, Other, Path, apart, check_paths
from regard.registry import method


@method(
    "gaze.comparisons",
    paper="fdiss",
    claim="equals the overlap of discs counted on a fine grid; a path in another order is still 1",
    source="the package's description: discs of equal radius, best overlap both ways, harmonic mean",
    needs={"path", "other"},
    differs="none",
    unit="share",
)
def fdiss(path: Path, other: Other, *, radius: float = 24.0) -> Higher:
    """2 P R / (P + R): P the mean over `path` of the best IoU with a disc of `other`, R the other way round; 0..1.

    IoU of two discs of radius r at distance d: I / (2 pi r^2 - I), I = 2 r^2 acos(d / 2r) - d sqrt(4 r^2 - d^2) / 2.
    It knows no order, no durations and no repeats: its authors call 1 "identical", but any order of the same places
    scores 1. Compare only with the control of a path on another picture.

    path, other [n, 3] (x, y in pixels, seconds); radius in pixels, about a degree. Raises LayoutError, DegenerateError.

    >>> import torch
    >>> one = torch.tensor([[10.0, 10.0, 0.2], [90.0, 40.0, 0.2]])
    >>> fdiss(one, one.flip(0)), fdiss(one, one + 500.0)
    (tensor(1.), tensor(0.))
    """
    check_paths(path, other)
    if not radius > 0:
        raise LayoutError(f"radius={radius}", hint="pixels, about one degree, as 24.0")
    overlap = disc_iou(apart(path, other), radius)
    there, back = overlap.max(1).values.mean(), overlap.max(0).values.mean()
    return 2 * there * back / (there + back).clamp_min(torch.finfo(path.dtype).tiny)


def disc_iou(distance: Float[Tensor, "*s"], radius: float) -> Float[Tensor, "*s"]:
    """Intersection over union of two discs of one radius.

    >>> disc_iou(torch.tensor([0.0, 2.0]), 1.0).tolist()
    [1.0, 0.0]
    """
    d = (distance / radius).clamp_max(2)
    common = 2 * (d / 2).acos() - d * (4 - d**2).clamp_min(0).sqrt() / 2
    return common / (2 * math.pi - common)
