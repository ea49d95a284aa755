"""A network with a map of two channels before its head, its activations and gradients by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .models import draw


class Head(nn.Module):
    """y = sum over places of (w . tanh(A)), A the picture's first channels: gradients differ from place to place."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.features = nn.Conv2d(3, 4, 2, 2)
        self.weight = nn.Parameter(draw(3, 4, 4, 3, seed=4))
        with torch.no_grad():
            self.features.weight.copy_(draw(4, 3, 2, 2, seed=5))
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return (self.weight * self.features(x).tanh()[:, None]).flatten(2).sum(2)


def layer_of(model: Head, x: Tensor, target: int = 1) -> tuple[Tensor, Tensor]:
    a = model.features(x).detach()
    return a, (model.weight[target] * (1 - a.tanh().square())).detach()
