"""Integrals over a path from one input to another: where to evaluate them, and how much is missing in the sum."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError


def completeness_gap(attributed: Tensor, difference: Float[Tensor, " b"]) -> float:
    """Largest |sum of the map - what it should explain| of a batch, as a share of the latter."""
    short = (attributed.flatten(1).sum(1) - difference).abs()
    return float((short / difference.abs().clamp_min(torch.finfo(short.dtype).tiny)).max())


def gauss_legendre(steps: int) -> list[tuple[float, float]]:
    """Points in 0 .. 1 and their weights, exact for polynomials of degree 2 steps - 1."""
    if steps < 1:
        raise LayoutError(f"a path of {steps} steps", hint="steps=50")
    points, weights = np.polynomial.legendre.leggauss(steps)
    return [(float(0.5 * (p + 1)), float(0.5 * w)) for p, w in zip(points, weights, strict=True)]
