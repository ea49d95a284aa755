"""Moments of the gradient under noise, which SmoothGrad and its kin read."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from regard.explainers._pixels import check_samples, noise
from regard.subjects.scorer import Scorer


class Moments(NamedTuple):
    """Mean, and sum of squared deviations from it, of the gradient over samples."""

    mean: Float[Tensor, "b c h w"]
    deviations: Float[Tensor, "b c h w"]
    samples: int


def moments(score: Scorer, x: Tensor, generator: torch.Generator, samples: int, level: float) -> Moments:
    """Of the gradient at x + noise, one sample at a time (Welford), so that memory does not grow with their number."""
    check_samples(samples, 2)
    points = (x + noise(x, level, generator) for _ in range(samples))
    mean, deviations = torch.zeros_like(x), torch.zeros_like(x)
    for count, slope in enumerate(score.gradients(points, samples), start=1):
        away = slope - mean
        mean = mean + away / count
        deviations = deviations + away.square() * (count - 1) / count
    return Moments(mean, deviations, samples)
