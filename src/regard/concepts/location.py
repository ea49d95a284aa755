"""Concept location: is a concept active where it is?"""

from __future__ import annotations

from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError


def location(
    maps: Float[Tensor, "n h w"], points: Int[Tensor, "n 2"], size: tuple[int, int], *, share: float = 1 / 12
) -> Bool[Tensor, " n"]:
    """Whether the pixel (x, y) at a concept's centre is among the `share` highest of its activation map.

    CLM: maps are laid on the picture bilinearly; the paper's region is alpha / 12 of the pixels, alpha = 1, 3, 6
    (twelve body parts). The mean over pictures and concepts is the metric; `share` is what random maps reach.
    Ties count against it: an empty map is nowhere. Raises LayoutError for a point outside of the picture or a share
    that is none.
    Source: Aysel, Cai and Prugel-Bennett 2025, "Concept-Based Explainable AI: Metrics and Benchmarks" (CLM).

    >>> import torch
    >>> from regard.concepts import location
    >>> location(torch.eye(2)[None], torch.tensor([[0, 0]]), (4, 4), share=0.25)
    tensor([True])
    """
    height, width = size
    x, y = points.T
    inside = ((points >= 0).all(1) & (x < width) & (y < height)).all()
    if not inside or not 0 < share < 1:
        raise LayoutError(f"points and a share of {share:g} on a picture {height} x {width}", hint="(x, y) in pixels")
    full = F.interpolate(maps[:, None], size=size, mode="bilinear", align_corners=False)[:, 0].flatten(1)
    count = max(1, int(share * full.shape[1]))
    return (full >= full.gather(1, (y * width + x)[:, None])).sum(1) <= count
