"""`baseline_picture`: what stands in for evidence that is taken away."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import MethodError

Span = tuple[tuple[float, ...], tuple[float, ...]]  # a channel's value for black, and for white, as the model takes it
UNKNOWN: Span = ((0.0,), (1.0,))
BASELINES = ("black", "white", "mean", "blur", "uniform")


def baseline_picture(
    x: Float[Tensor, "b c ..."], baseline: str, *, span: Span = UNKNOWN, generator: torch.Generator | None = None
) -> Float[Tensor, "b c ..."]:
    """A picture without the evidence, for each of x.

    black, white: as the model is given them (`span`; 0 and 1 where its scale is not known). mean: each picture's mean
    colour. blur: the picture blurred beyond recognition. uniform: noise between black and white, the same for all.
    Raises MethodError for any other name.
    """
    if baseline not in BASELINES:
        raise MethodError.unknown("baseline", baseline, BASELINES, see=f"one of {', '.join(BASELINES)}")
    space = tuple(range(2, x.ndim))
    if baseline == "mean":
        return x.mean(space, keepdim=True).expand_as(x)
    if baseline == "blur":
        return _blurred(x)
    shape = (1, -1, *(1 for _ in space))
    known = span if len(span[0]) in (1, x.shape[1]) else UNKNOWN
    black, white = (torch.tensor(level, dtype=x.dtype, device=x.device).view(shape) for level in known)
    if baseline == "uniform":  # drawn in float64, so that every type gets the same picture
        drawn = torch.rand((1, *x.shape[1:]), generator=generator, dtype=torch.float64).to(x)
        return (black + drawn * (white - black)).expand_as(x)
    return (black if baseline == "black" else white).expand_as(x)


def _blurred(x: Tensor) -> Tensor:
    """A Gaussian of a twentieth of the longest side, edges repeated: a product with a matrix along each axis."""
    sigma = max(x.shape[2:]) / 20
    for axis in range(2, x.ndim):
        x = (x.movedim(axis, -1) @ _smoothing(x.shape[axis], sigma).to(x).mT).movedim(-1, axis)
    return x.contiguous()


def _smoothing(n: int, sigma: float) -> Tensor:
    """Row i: the weights of n places for place i; what falls over an edge lands on it."""
    reach = round(3 * sigma)
    offsets = torch.arange(-reach, reach + 1)
    kernel = torch.exp(-0.5 * (offsets.double() / sigma) ** 2)
    places = (torch.arange(n)[:, None] + offsets).clamp(0, n - 1)
    return torch.zeros(n, n, dtype=kernel.dtype).scatter_add_(1, places, (kernel / kernel.sum()).expand(n, -1))
