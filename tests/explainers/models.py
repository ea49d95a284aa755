"""Models whose explanation is known in closed form."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def explained(model: nn.Module, x: Tensor, name: str, target: Any = 1, seed: int = 0, **options: Any) -> rg.Map:
    """A method by name, with options."""
    method = partial(getattr(rg.explainers, name), **options)
    return rg.explain(model, x, method=method, target=target, seed=seed)


def values(made: rg.Map) -> Tensor:
    return torch.from_numpy(made.values)


class Linear(nn.Module):
    """y = W x + c over all pixels; bias-free if asked."""

    def __init__(self, size: tuple[int, ...] = (3, 5, 7), classes: int = 3, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(draw(classes, *size, seed=1))
        self.bias = nn.Parameter(draw(classes, seed=2) * bias)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.weight.flatten(1).T + self.bias


class Quadratic(Linear):
    """y = (W x)^2 + W x: the gradient is linear in x."""

    def forward(self, x: Tensor) -> Tensor:
        y = x.flatten(1) @ self.weight.flatten(1).T
        return y.square() + y


class Net(nn.Module):
    """Convolutions, in-place ReLUs, max pooling and a linear head; without biases it is homogeneous."""

    def __init__(self, *, bias: bool, norm: bool = False, seed: int = 0, act: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.first, self.second = nn.Conv2d(3, 6, 3, padding=1, bias=bias), nn.Conv2d(6, 8, 3, bias=bias)
            self.norm = nn.BatchNorm2d(8) if norm else nn.Identity()
            self.act, self.pool, self.head = act(), nn.MaxPool2d(2), nn.Linear(8, 3, bias=bias)
            for p in (*self.parameters(), *(b for n, b in self.named_buffers() if "running" in n)):
                nn.init.uniform_(p, 0.2, 1.5) if p.ndim == 1 else nn.init.normal_(p, std=0.5)
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.first(x), inplace=True))
        return self.head(self.act(self.norm(self.second(x))).mean((2, 3)))


def slope(model: nn.Module, x: Tensor, target: int = 1) -> Tensor:
    """The gradient of each picture's logit, one picture at a time."""
    rows = []
    for one in x:
        leaf = one[None].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(model(leaf)[0, target], leaf)
        rows.append(gradient)
    return torch.cat(rows)
