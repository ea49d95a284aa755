"""Small models that tests of papers share: trained in seconds from fixed seeds, or planted by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg

Head = tuple[int, int]  # layer, head


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Weights are drawn from the global state, as torch and timm do; it is put back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def train(model: nn.Module, loss: Callable[[], Tensor], *, steps: int, rate: float) -> None:
    """AdamW with a linear fall to a tenth of the rate; the model is left in eval mode."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.02)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - 0.9 * step / steps)
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    optimizer.zero_grad()
    model.eval()


def on(heads: Iterable[Head], edit: Callable[[list[int]], object]) -> dict[str, object]:
    """What `rg.edit` takes to change these heads, each in its layer; without any, something that changes nothing."""
    by_layer: dict[str, list[int]] = {}
    for layer, head in heads:
        by_layer.setdefault(f"blocks.{layer}.attn", []).append(head)
    return {site: edit(some) for site, some in by_layer.items()} or {"*": rg.edits.scale_heads(1.0)}


def ranked(scores: Tensor) -> list[Head]:
    """(layer, head) from the highest of `scores` [L, H] to the lowest."""
    return [divmod(i, scores.shape[1]) for i in scores.flatten().argsort(descending=True).tolist()]


def random_heads(
    layers: int, heads: int, count: int, generator: torch.Generator, but: Iterable[Head] = ()
) -> list[Head]:
    """`count` different heads, none of those in `but`."""
    left = [(layer, head) for layer in range(layers) for head in range(heads) if (layer, head) not in set(but)]
    return [left[i] for i in torch.randperm(len(left), generator=generator)[:count].tolist()]


class Attention(nn.Module):
    """Fused self-attention, heads as the second axis; causal, and heads of `near` see so many words back only."""

    def __init__(self, width: int, heads: int, *, causal: bool, near: dict[int, int] | None = None) -> None:
        super().__init__()
        self.heads, self.causal, self.near = heads, causal, near or {}
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        seen = torch.ones(self.heads, n, n, dtype=torch.bool)
        for head, window in self.near.items():
            seen[head] = seen[head].triu(-window)
        mask = seen.tril() if self.causal else None
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.proj(out.transpose(1, 2).reshape(b, n, c))


class Block(nn.Module):
    """Pre-norm attention and MLP."""

    def __init__(self, width: int, heads: int, *, causal: bool, near: dict[int, int] | None = None) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads, causal=causal, near=near)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Decoder(nn.Module):
    """A causal transformer over words. Each word's vector also tells the word before it.

    This short convolution stands for a layer of previous-word heads: copying is learnt in a few hundred steps.
    """

    def __init__(
        self, words: int, length: int, *, width: int = 48, depth: int = 2, heads: int = 8,
        near: dict[Head, int] | None = None, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        windows: list[dict[int, int]] = [{} for _ in range(depth)]
        for (layer, head), window in (near or {}).items():
            windows[layer][head] = window
        with seeded(seed):
            self.words, self.before = nn.Embedding(words, width), nn.Embedding(words, width)
            self.places = nn.Parameter(0.1 * torch.randn(length, width))
            self.blocks = nn.ModuleList(Block(width, heads, causal=True, near=some) for some in windows)
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, words)

    def forward(self, words: Tensor) -> Tensor:
        x = self.words(words) + F.pad(self.before(words[:, :-1]), (0, 0, 1, 0)) + self.places[: words.shape[1]]
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))
