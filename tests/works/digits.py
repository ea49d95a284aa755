"""Handwritten digits of 8 x 8 pixels that scikit-learn carries, and a small network of tokens to tell them apart."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .toys import seeded, train


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pictures as 16 tokens of 2 x 2 pixels and their labels: 1,000 to learn from, 797 to test on."""
    data = pytest.importorskip("sklearn.datasets").load_digits()
    x = torch.tensor(data.images / 16, dtype=torch.float32)
    tokens = x.view(-1, 4, 2, 4, 2).transpose(2, 3).reshape(-1, 16, 4)
    labels = torch.tensor(data.target, dtype=torch.long)
    return tokens[:1000], labels[:1000], tokens[1000:], labels[1000:]


Mix = Callable[[Tensor, Tensor, Tensor], Tensor]


class Mixer(nn.Module):
    """q, k and v of each head, mixed by an operator."""

    def __init__(self, width: int, heads: int, mix: Mix) -> None:
        super().__init__()
        self.heads, self.mix = heads, mix
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(self.mix(q, k, v).transpose(1, 2).flatten(2))


class Reader(nn.Module):
    """Two blocks of an operator and an MLP over the tokens of a digit; the mean token, or the last, tells the class."""

    def __init__(
        self, mix: Mix, *, after: Callable[[Tensor], Tensor] = lambda x: x, last: bool = False, width: int = 32,
        heads: int = 4, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        self.after, self.last = after, last
        with seeded(seed):
            self.embed, self.places = nn.Linear(4, width), nn.Parameter(0.1 * torch.randn(16, width))
            self.attn = nn.ModuleList(Mixer(width, heads, mix) for _ in range(2))
            self.mlp = nn.ModuleList(
                nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)) for _ in range(2)
            )
            self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(5))
            self.head = nn.Linear(width, 10)

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens) + self.places
        for i, (attn, mlp) in enumerate(zip(self.attn, self.mlp, strict=True)):
            x = x + attn(self.norms[2 * i](x))
            x = x + self.after(mlp(self.norms[2 * i + 1](x)))
        x = self.norms[4](x)
        return self.head(x[:, -1] if self.last else x.mean(1))


def fit(model: nn.Module, *, steps: int = 200, rate: float = 3e-3, seed: int = 0) -> float:
    """Train on random batches of 100; gives the accuracy on the test digits."""
    x, y, test_x, test_y = digits()
    generator = torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        batch = torch.randint(len(x), (100,), generator=generator)
        return F.cross_entropy(model(x[batch]), y[batch])

    train(model, loss, steps=steps, rate=rate)
    with torch.no_grad():
        return float((model(test_x).argmax(-1) == test_y).float().mean())
