"""What operators share: the layout of their tensors, its check, and softmax attention as one fused call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.layout import Grid

Queries = Float[Tensor, "b h q d"]
Keys = Float[Tensor, "b h k d"]
Values = Float[Tensor, "b h k e"]
Output = Float[Tensor, "b h q e"]
Logits = Float[Tensor, "b h q k"]
Weights = Float[Tensor, "b h q k"]
Tokens = Float[Tensor, "b n c"]
Images = Float[Tensor, "b c y x"]

Form = Literal["parallel", "recurrent", "chunked"]


def check(q: Tensor, k: Tensor, v: Tensor, *, same_count: bool = False) -> None:
    """Raise LayoutError unless q [B, H, Q, D], k [B, H, K, D] and v [B, H, K, E] are floats that fit each other."""
    for name, x in (("q", q), ("k", k), ("v", v)):
        check_float(name, x)
        if (x.shape[:2], x.dtype, x.device) != (q.shape[:2], q.dtype, q.device):
            raise LayoutError(
                f"{name} is {list(x.shape)} {x.dtype} on {x.device}, q is {list(q.shape)} {q.dtype} on {q.device}",
                hint="the same batch, heads, type and device in q, k and v [B, H, N, D]",
            )
    if k.shape[2:3] != v.shape[2:3] or q.shape[3] != k.shape[3]:
        raise LayoutError(
            f"q {list(q.shape)}, k {list(k.shape)} and v {list(v.shape)} do not fit",
            hint="q [B, H, Q, D], k [B, H, K, D], v [B, H, K, E]",
        )
    if same_count and q.shape[2] != k.shape[2]:
        raise LayoutError(
            f"{q.shape[2]} queries and {k.shape[2]} keys", hint="self-attention: one query for each key, in one order"
        )


def check_float(name: str, x: Tensor, axes: str = "B, H, N, D") -> None:
    """Raise LayoutError unless x is a float tensor with these axes."""
    if x.ndim != axes.count(",") + 1 or not x.is_floating_point():
        raise LayoutError(f"{name} is {list(x.shape)} {x.dtype}", hint=f"floats [{axes}]")


def check_grid(grid: Grid, q: Tensor) -> None:
    """Raise LayoutError unless the tokens of q fill a grid without prefix."""
    grid.check_tokens(q.shape[2], "q")
    if grid.prefix:
        raise LayoutError(
            f"grid {grid} has {grid.prefix} prefix tokens, which lie nowhere on it",
            hint=f"q[:, :, {grid.prefix}:], k, v likewise, and Grid({grid.h}, {grid.w})",
        )


def check_count(name: str, value: int, low: int, high: int | None = None) -> None:
    """Raise LayoutError unless low <= value <= high."""
    if value < low or (high is not None and value > high):
        raise LayoutError(f"{name}={value}", hint=f"{low} .. {'any' if high is None else high}")


def scale_of(q: Tensor, scale: float | None) -> float:
    """The given scale, or 1 / sqrt(D)."""
    return q.shape[-1] ** -0.5 if scale is None else scale


def softmax_attention(
    q: Tensor, k: Tensor, v: Tensor, *, scale: float | None = None, bias: Tensor | None = None
) -> Tensor:
    """softmax(scale q k^T + bias) v by torch's fused kernel; scale: 1 / sqrt(D) unless given."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)


def step_of(form: Form, chunk: int, tokens: int) -> int:
    """How many tokens a scan takes at a time: all of them, one, or a chunk."""
    if form not in ("parallel", "recurrent", "chunked"):
        raise LayoutError(f"form='{form}'", hint="parallel, recurrent or chunked")
    check_count("chunk", chunk, 1)
    return {"parallel": max(1, tokens), "recurrent": 1, "chunked": chunk}[form]


def log_decay(decay: Sequence[float] | Tensor, like: Tensor) -> Tensor:
    """log of each head's decay, `[1, H, 1, 1]`; 0 counts as the smallest number, so that it forgets without NaN."""
    decay = torch.as_tensor(decay, dtype=like.dtype, device=like.device)
    if decay.shape != like.shape[1:2] or not bool(((decay >= 0) & (decay <= 1)).all()):
        raise LayoutError(
            f"decays {[round(x, 4) for x in decay.flatten().tolist()]} for {like.shape[1]} heads",
            hint="one for each head, between 0 (forgets) and 1 (keeps)",
        )
    return decay.clamp_min(torch.finfo(like.dtype).tiny).log().view(1, -1, 1, 1)
