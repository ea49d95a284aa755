"""Maps that no method made: what a leaderboard needs at its bottom, and what an honest method has to beat."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.subjects.controls import centre_gaussian

STREAM = 0x5EED  # xored into the seed: the null of the random map, drawn from the seed itself, must not go with it


def plain_controls(x: Float[Tensor, "1 c H W"], h: int, w: int, seed: int) -> dict[str, Float[Tensor, "h w"]]:
    """random: normal numbers. centre: a Gaussian. edges: how steep the picture is, by Sobel's filter."""
    generator = torch.Generator().manual_seed(seed ^ STREAM)
    return {
        "random": torch.randn(h, w, generator=generator, dtype=torch.float64),
        "centre": centre_gaussian(h, w),
        "edges": F.adaptive_avg_pool2d(edges(x)[None], (h, w))[0, 0],
    }


def edges(x: Float[Tensor, "1 c H W"]) -> Float[Tensor, "1 H W"]:
    """Length of Sobel's gradient of the mean of the channels."""
    kernel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]], dtype=torch.float64)
    grey = F.pad(x.detach().cpu().double().mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    return F.conv2d(grey, torch.stack([kernel, kernel.T])[:, None]).norm(dim=1)
