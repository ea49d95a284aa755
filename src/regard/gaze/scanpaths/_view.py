"""What is seen of a picture while the eyes rest on one place of it: sharp there, blurred elsewhere.

Small on purpose: where the foveation room offers a blur that is differentiable in the fixation, it can stand here.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.gaze.predictors._shared import blur


def fovea(xy: Float[Tensor, "b 2"], size: tuple[int, int], sigma: float) -> Float[Tensor, "b h w"]:
    """exp(-d^2 / (2 sigma^2)) of the distance d to (x, y), all in pixels; smooth in xy.

    >>> fovea(torch.tensor([[1.5, 0.5]]), (1, 3), 1.0).round(decimals=2)
    tensor([[[0.6100, 1.0000, 0.6100]]])
    """
    y = torch.arange(size[0], dtype=xy.dtype, device=xy.device) + 0.5
    x = torch.arange(size[1], dtype=xy.dtype, device=xy.device) + 0.5
    squared = (y[:, None] - xy[:, 1, None, None]) ** 2 + (x - xy[:, 0, None, None]) ** 2
    return torch.exp(-squared / (2 * sigma**2))


def softened(x: Float[Tensor, "b c h w"], sigma: float) -> Float[Tensor, "b c h w"]:
    """The picture as the far periphery sees it: blurred by `sigma` pixels."""
    return blur(x, sigma)


def view(
    sharp: Float[Tensor, "b c h w"], soft: Float[Tensor, "b c h w"], seen: Float[Tensor, "b h w"]
) -> Float[Tensor, "b c h w"]:
    """soft + seen (sharp - soft), `seen` cut to 0..1: what was looked at is sharp.

    >>> view(torch.ones(1, 1, 1, 2), torch.zeros(1, 1, 1, 2), torch.tensor([[[0.25, 3.0]]])).flatten()
    tensor([0.2500, 1.0000])
    """
    return soft + seen.clamp(0, 1)[:, None] * (sharp - soft)
