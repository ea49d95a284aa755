"""Small scenes of coloured squares and simulated viewers, for networks that are trained in seconds."""

from __future__ import annotations

import torch
from torch import Tensor

SIZE = (16, 24)
HALF = 1  # squares of 3 x 3 cells


def scenes(n: int, g: torch.Generator, *, colours: int = 2) -> tuple[Tensor, Tensor]:
    """Noise [n, 3, 16, 24] with one square of each colour, and the squares' (row, column) [n, colours, 2]."""
    x = 0.3 * torch.randn(n, 3, *SIZE, generator=g)
    at = torch.stack([2 + (s - 4) * torch.rand(n, colours, generator=g) for s in SIZE], -1).long()
    for colour in range(colours):
        x = x + 2 * torch.eye(3)[colour][:, None, None] * square(at[:, colour])[:, None]
    return x, at


def square(at: Tensor) -> Tensor:
    """1 within a square about each (row, column), [n, 16, 24]."""
    rows, columns = (torch.arange(s) for s in SIZE)
    near = ((rows - at[:, :1]).abs() <= HALF)[:, :, None] & ((columns - at[:, 1:]).abs() <= HALF)[:, None]
    return near.float()


def looked(at: Tensor, g: torch.Generator, *, fixations: int = 10, spread: float = 1.2) -> Tensor:
    """Counts [n, 16, 24] of fixations that fall about a place."""
    counts = torch.zeros(len(at), *SIZE)
    for _ in range(fixations):
        where = (at + spread * torch.randn(at.shape, generator=g)).round().long()
        where = where.clamp(torch.tensor([0, 0]), torch.tensor(SIZE) - 1)
        counts[torch.arange(len(at)), where[:, 0], where[:, 1]] += 1
    return counts


def nss(values: Tensor, counts: Tensor) -> float:
    """Mean over pictures of the standardised map at the fixations."""
    flat, seen = values.flatten(1), counts.flatten(1)
    unit = (flat - flat.mean(1, keepdim=True)) / flat.std(1, keepdim=True, unbiased=False).clamp_min(1e-9)
    return float(((unit * seen).sum(1) / seen.sum(1)).mean())


def centre() -> Tensor:
    """A Gaussian about the middle, [1, 16, 24]."""
    y, x = (torch.linspace(-1, 1, s) for s in SIZE)
    return torch.exp(-(y[:, None] ** 2 + x**2) / 0.5)[None]


def cross_entropy(logits: Tensor, counts: Tensor) -> Tensor:
    """Mean negative log likelihood of fixations under softmax of the logits [..., 16, 24]."""
    told = logits.flatten(-2).log_softmax(-1)
    seen = counts.flatten(-2)
    return -((told * seen).sum(-1) / seen.sum(-1).clamp_min(1)).mean()
