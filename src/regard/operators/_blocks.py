"""Blocks of tokens: cutting them, finding the important ones by their means, and attending to chosen ones only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.operators._shared import softmax_attention


@dataclass(frozen=True)
class Chosen:
    """Which key blocks each query block reads: k `[B, H, M, P, D]`, v likewise, index `[B, H, n, C]` into M.

    size: how many tokens each of the P keys stands for.
    """

    k: Tensor
    v: Tensor
    index: Tensor
    size: int = 1


def cut(x: Tensor, block: int) -> Tensor:
    """`[B, H, N, D]` -> `[B, H, N / block, block, D]`, or LayoutError."""
    if block < 1 or x.shape[2] % block:
        raise LayoutError(f"{x.shape[2]} tokens in blocks of {block}", hint="a size that divides the tokens")
    return x.unflatten(2, (-1, block))


def importance(q: Tensor, k: Tensor, scale: float) -> Tensor:
    """Softmax over key blocks of the products of block means; q and k cut into blocks; `[B, H, n, M]`."""
    return torch.softmax(scale * q.mean(3) @ k.mean(3).mT, -1)


def attend_blocks(q: Tensor, chosen: Sequence[Chosen], *, scale: float) -> Tensor:
    """Softmax attention of each block of queries `[B, H, n, block, D]` over its chosen blocks; `[B, H, N, E]`."""
    ks = torch.cat([_taken(part.k, part.index) for part in chosen], 2)
    vs = torch.cat([_taken(part.v, part.index) for part in chosen], 2)
    counts = [part.index.shape[-1] * part.k.shape[3] for part in chosen]
    sizes = [math.log(part.size) for part in chosen]
    bias = torch.tensor(sizes, dtype=q.dtype, device=q.device).repeat_interleave(
        torch.tensor(counts, device=q.device)
    ) if any(sizes) else None  # fmt: skip
    out = softmax_attention(q.flatten(0, 1), ks, vs, scale=scale, bias=None if bias is None else bias.view(1, 1, 1, -1))
    return out.unflatten(0, q.shape[:2]).flatten(2, 3)


def _taken(blocks: Tensor, index: Tensor) -> Tensor:
    """The chosen blocks of each head, strung together: [BH, n, C P, D]."""
    heads = torch.arange(index.shape[0] * index.shape[1], device=index.device).view(-1, 1, 1)
    return blocks.flatten(0, 1)[heads, index.flatten(0, 1)].flatten(2, 3)
