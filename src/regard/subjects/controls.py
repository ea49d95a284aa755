"""What needs no picture and what has learnt nothing: the centre of a photo, and a model with its weights shuffled."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn


def centre_gaussian(h: int, w: int) -> Float[Tensor, "h w"]:
    """A Gaussian at the centre with a quarter of each side as its width: where photographers put things."""
    y, x = (torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in (h, w))
    return torch.exp(-0.5 * ((y[:, None] / (h / 4)) ** 2 + (x / (w / 4)) ** 2))


def shuffled_twin(model: nn.Module, seed: int) -> nn.Module:
    """A copy whose weights are permuted within each tensor: the same network and the same numbers, unlearnt."""
    twin = copy.deepcopy(model)
    shuffle(twin.parameters(), torch.Generator().manual_seed(seed))
    return twin


@torch.no_grad()
def shuffle(weights: Iterable[Tensor], generator: torch.Generator) -> None:
    """Permute each tensor in itself, in place."""
    for weight in weights:
        order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
        weight.copy_(weight.flatten()[order].view_as(weight))
