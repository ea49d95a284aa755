"""The photos that scikit-image carries, to learn from where a method wants natural pictures."""

from __future__ import annotations

import functools

import torch
from jaxtyping import Float
from torch import Tensor

NAMES = ("astronaut", "chelsea", "coffee", "rocket")


@functools.cache
def photos() -> tuple[Float[Tensor, "1 3 H W"], ...]:
    """Four photos in float32, 0..1."""
    from skimage import data

    return tuple(torch.from_numpy(getattr(data, name)() / 255.0).float().permute(2, 0, 1)[None] for name in NAMES)
