"""CAPE: what a hand points at, as Gaussian rays from the head or wrist through the fingertip."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import DegenerateError, LayoutError


def ray(
    origin: Tensor, through: Tensor, size: tuple[int, int], *, sigma: float = 0.03, growth: float = 0.1
) -> Float[Tensor, "b h w"]:
    """exp(-d^2 / (2 s(t)^2)) for pixels ahead of the origin, 0 behind it; 1 on the ray.

    t: distance along the ray from `origin` to the pixel's foot, d: its distance from the ray; s(t) = sigma side +
    growth t, so that the ray opens as a cone (growth=0: a beam). origin, through [B, 2]: x and y in pixels, as head and
    fingertip, or wrist and fingertip; sigma: of the shorter side. Smooth in both points.

    Raises DegenerateError where both points are the same, LayoutError for other shapes.

    >>> ray(torch.tensor([[0.5, 0.5]]), torch.tensor([[1.5, 0.5]]), (1, 4), growth=0.0)[0, 0]
    tensor([0., 1., 1., 1.])
    """
    if origin.shape != through.shape or origin.ndim != 2 or origin.shape[1] != 2 or sigma <= 0 or growth < 0:
        raise LayoutError(
            f"points {list(origin.shape)} and {list(through.shape)}, sigma={sigma}, growth={growth}",
            hint="[B, 2] each, x and y in pixels; sigma over 0, growth 0 or more",
        )
    along = through - origin
    length = along.norm(dim=1, keepdim=True)
    if bool((length == 0).any()):
        raise DegenerateError("a ray through its own origin has no direction", hint="two different points")
    towards = along / length
    y = torch.arange(size[0], dtype=origin.dtype, device=origin.device) + 0.5
    x = torch.arange(size[1], dtype=origin.dtype, device=origin.device) + 0.5
    away = torch.stack(torch.broadcast_tensors(x, y[:, None]), -1) - origin[:, None, None]
    t = (away * towards[:, None, None]).sum(-1)
    d = away[..., 0] * towards[:, None, None, 1] - away[..., 1] * towards[:, None, None, 0]
    width = sigma * min(size) + growth * t.clamp_min(0)
    return torch.where(t > 0, torch.exp(-(d**2) / (2 * width**2)), torch.zeros_like(t))


def weighed(
    one: Float[Tensor, "b n"], other: Float[Tensor, "b n"], likeness: Float[Tensor, "b 2"]
) -> Float[Tensor, "b n"]:
    """Two models' scores of n boxes as one: each softmaxed, weighed by how like its choice is to the words.

    likeness: of the box that each model would choose with what was said, as a CLIP model tells it; the weights are
    their shares, negative ones count as 0, equal shares where neither is like.

    >>> weighed(torch.tensor([[9.0, 0.0]]), torch.tensor([[0.0, 9.0]]), torch.tensor([[0.3, 0.1]])).argmax().item()
    0
    """
    share = likeness.clamp_min(0)
    total = share.sum(1, keepdim=True)
    share = torch.where(total > 0, share / total.clamp_min(1e-12), torch.full_like(share, 0.5))
    return share[:, :1] * one.softmax(1) + share[:, 1:] * other.softmax(1)
