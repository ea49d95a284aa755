"""Explicit attention matrices of a planted ViT, and the gradient of a logit with respect to them: the slow form."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import regard as rg
from regard.testing.planted import PlantedViT


def attention_of(model: nn.Module, x: Tensor) -> list[Tensor]:
    """Softmax matrices `[B, H, N, N]` of every layer."""
    with torch.no_grad(), rg.watch(model, keep="probs") as record:
        model(x)
    return [reading["probs"] for reading in record]


def gradient_of(model: PlantedViT, x: Tensor, target: int = 1, depth: int | None = None) -> list[Tensor]:
    """d logit / d A of each layer of the network written out; only its first `depth` blocks, if given."""
    kept: list[Tensor] = []
    patches = model.embed(x).flatten(2).transpose(1, 2)
    tokens = torch.cat([model.cls.expand(len(x), -1, -1), patches], dim=1)
    for block in list(model.blocks)[:depth]:
        heads = block.attn.heads
        q, k, v = (t.unflatten(2, (heads, -1)).transpose(1, 2) for t in block.attn.qkv(tokens).chunk(3, -1))
        a = (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1)
        kept.append(a)
        tokens = tokens + (a @ v).transpose(1, 2).flatten(2)
    return list(torch.autograd.grad(model.head(tokens[:, 0])[:, target].sum(), kept))
