"""Attention with its gradient retained, to hold the streamed reductions against."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg


class Layers(nn.Module):
    """Self-attention layers whose attention is fused, or by hand with every matrix kept."""

    def __init__(self, depth: int = 3, heads: int = 2, width: int = 8, *, bias: bool = False) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(depth)
        self.num_heads, self.by_hand, self.kept = heads, False, []
        self.weights = nn.ParameterList(
            torch.randn(width, 3 * width, generator=g, dtype=torch.float64) / 2 for _ in range(depth)
        )
        self.bias = nn.Parameter(torch.randn(1, heads, 7, 7, generator=g, dtype=torch.float64)) if bias else None
        self.kept: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.kept = []
        for weight in self.weights:
            q, k, v = (t.transpose(1, 2) for t in (x @ weight).unflatten(-1, (3, self.num_heads, -1)).unbind(2))
            if self.by_hand:
                s = q @ k.mT * q.shape[-1] ** -0.5
                p = (s if self.bias is None else s + self.bias).softmax(-1)
                p.retain_grad()
                self.kept.append(p)
                out = p @ v
            else:
                out = F.scaled_dot_product_attention(q, k, v, attn_mask=self.bias)
            x = x + out.transpose(1, 2).flatten(2)
        return x


X = torch.randn(2, 7, 8, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def score(out: Tensor) -> Tensor:
    return (out[:, 0].tanh() * torch.arange(8, dtype=out.dtype)).sum()


def retained(net: Layers) -> list[tuple[Tensor, Tensor]]:
    """(attention, its gradient) of each layer, by hand."""
    net.by_hand = True
    score(net(X.clone().requires_grad_())).backward()
    net.by_hand = False
    pairs = []
    for p in net.kept:
        assert p.grad is not None
        pairs.append((p.detach(), p.grad))
    for parameter in net.parameters():
        parameter.grad = None
    return pairs


def streamed(net: nn.Module, keep: Any) -> list[Tensor]:
    """What a watch keeps under the only name asked for, call by call."""
    for parameter in net.parameters():
        parameter.requires_grad_(False)  # frozen, as models usually are
    with rg.watch(net, keep={"it": keep}) as record:
        record.backward(score(net(X)))
    return [reading["it"] for reading in record]
