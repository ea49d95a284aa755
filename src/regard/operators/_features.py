"""Feature maps of linear attention: phi with phi(q) . phi(k) in the place of exp(q . k)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError

Feature = Literal["elu", "relu", "taylor", "none"]


def feature_map(x: Tensor, name: Feature) -> Tensor:
    """elu: elu(x) + 1 · relu: max(x, 0) · none: x · taylor: (1, x, x (x) x / sqrt 2), with product 1 + s + s^2 / 2."""
    match name:
        case "elu":
            return F.elu(x) + 1
        case "relu":
            return F.relu(x)
        case "taylor":
            squares = (x[..., :, None] * x[..., None, :]).flatten(-2) * 0.5**0.5
            return torch.cat([torch.ones_like(x[..., :1]), x, squares], -1)
        case "none":
            return x
    raise LayoutError(f"feature='{name}'", hint="elu, relu, taylor or none")
