"""What localisation metrics share: how much of each cell lies in a region."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F


def share_inside(region: Bool[Tensor, "H W"], h: int, w: int) -> Float[Tensor, "h w"]:
    """The share of each cell of an h x w grid that lies in the region: that of its pixels, nearest cell each."""
    height, width = region.shape
    rows = torch.arange(height) * h // height
    columns = torch.arange(width) * w // width
    index = (rows[:, None] * w + columns).flatten()
    inside = torch.zeros(h * w, dtype=torch.float64).index_add_(0, index, region.flatten().double())
    count = torch.bincount(index, minlength=h * w)
    if (count == 0).any():  # more cells than pixels
        return F.interpolate(region.double()[None, None], size=(h, w), mode="nearest-exact")[0, 0]
    return (inside / count).view(h, w)
