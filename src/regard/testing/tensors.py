"""Tensors for operators, made of pictures, so that every law that speaks of pictures speaks of operators too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import MethodError
from regard.layout import Grid
from regard.testing.planted import CELLS, PATCH

HEADS, WIDTH = 2, 4


def operands(names: tuple[str, ...], x: Tensor) -> list[Any]:
    """What an operator asks for, by name: fixed projections of the patches of `x` [B, 3, H, W], in its type."""
    missing = [name for name in names if name not in _MADE]
    if missing:
        raise MethodError.unknown("operand", missing[0], _MADE, see="regard.testing.tensors")
    return [_MADE[name](x) for name in names]


def _projected(x: Tensor, seed: int, width: int) -> Tensor:
    """Patches [B, 64, 48] times a fixed random matrix, of about unit size: [B, 64, width]."""
    patches = F.unfold(x, PATCH, stride=PATCH).mT
    return patches @ _drawn(seed, patches.shape[-1], width).to(x) * 0.5


def _drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _heads(seed: int) -> Callable[[Tensor], Tensor]:
    return lambda x: _projected(x, seed, HEADS * WIDTH).unflatten(-1, (HEADS, WIDTH)).transpose(1, 2)


def _few(seed: int) -> Callable[[Tensor], Tensor]:
    return lambda x: _heads(seed)(x).unflatten(2, (8, -1)).mean(3)


_MADE: Mapping[str, Callable[[Tensor], Any]] = {
    "q": _heads(0),
    "k": _heads(1),
    "v": _heads(2),
    "logits": lambda x: _heads(0)(x) @ _heads(1)(x).mT,
    "tokens": lambda x: _projected(x, 3, HEADS * WIDTH),
    "grid": lambda x: Grid(CELLS, CELLS),
    "agents": _few(4),
    "projection": lambda x: torch.eye(CELLS**2, dtype=x.dtype)[::4],
    "gate": lambda x: F.logsigmoid(_heads(5)(x)),
    "beta": lambda x: torch.sigmoid(_heads(6)(x)[..., 0]),
    "inducing": _few(7),
    "importance": lambda x: _heads(8)(x)[..., 0],
    "intensity": lambda x: _projected(x, 9, 1)[..., 0],
    "decay": lambda x: torch.sigmoid(_heads(10)(x)[..., :2] + 2),
    "times": lambda x: _drawn(11, HEADS, 2 * CELLS - 1, WIDTH).to(x),
    "channels": lambda x: _drawn(12, 1, HEADS, CELLS, WIDTH).to(x),
    "rq": lambda x: _heads(13)(x)[:, :, :, :2],
    "rk": lambda x: _heads(14)(x)[:, :, :, :2],
    "mix": lambda x: _drawn(15, HEADS, HEADS, WIDTH).to(x),
    "affinity": lambda x: _projected(x, 16, HEADS * 81).unflatten(-1, (HEADS, 9, 9)).transpose(1, 2),
    "left": lambda x: _heads(18)(x),
    "right": lambda x: _heads(19)(x),
    "images": lambda x: x,
    "fundamentals": lambda x: torch.tensor([[[0.0, 0.01, 0.0], [-0.02, 0.0, -1.0], [0.1, 1.0, 0.0]]]).to(x),
    "position": lambda x: _drawn(17, HEADS, CELLS**2, CELLS**2).to(x),
}
