"""A small pre-norm vision transformer whose attention may leave keys out."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Self-attention under a mask of keys: a bool one leaves keys out exactly, a float one hands gradients on."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "b n c"], keys: Tensor | None = None) -> Float[Tensor, "b n c"]:
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if keys is None or keys.dtype == torch.bool:
            made = F.scaled_dot_product_attention(q, k, v, attn_mask=None if keys is None else keys[:, None, None])
        else:
            weights = (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1) * keys[:, None, None]
            made = (weights / weights.sum(-1, keepdim=True)) @ v
        out: Tensor = self.proj(made.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """Attention and an MLP, each behind a normalisation and with a way around."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.attn = nn.LayerNorm(width), nn.LayerNorm(width), Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Float[Tensor, "b n c"], keys: Tensor | None = None) -> Float[Tensor, "b n c"]:
        x = x + self.attn(self.norm1(x), keys)
        made: Tensor = x + self.mlp(self.norm2(x))
        return made


class ViT(nn.Module):
    """Pictures to tokens `[B, 1 + h w, C]`, CLS first; places are learnt for one grid, if the model is to know them."""

    def __init__(self, side: int, patch: int, width: int, depth: int, heads: int, *, placed: bool = True) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, width, patch, patch)
        self.cls = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.places = nn.Parameter(0.02 * torch.randn(1, 1 + (side // patch) ** 2, width)) if placed else None
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(
        self, x: Float[Tensor, "b 3 H W"], patches: Bool[Tensor, "b n"] | Float[Tensor, "b n"] | None = None
    ) -> Float[Tensor, "b m c"]:
        """patches: which may be looked at; CLS always may."""
        tokens = torch.cat([self.cls.expand(len(x), -1, -1), self.embed(x).flatten(2).mT], 1)
        tokens = tokens if self.places is None else tokens + self.places
        keys = None if patches is None else torch.cat([torch.ones_like(patches[:, :1]), patches], 1)
        for block in self.blocks:
            tokens = block(tokens, keys)
        made: Tensor = self.norm(tokens)
        return made
