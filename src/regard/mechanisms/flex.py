"""`flex_attention`: any change of scores and any mask, as functions of batch, head, query and key.

Below Python's `flex_attention` is one higher-order op, which a mode sees when compiled code runs eagerly. Scores are
changed a block of rows at a time, by the model's own functions; no N x N matrix is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from regard.core.scope import Maker, Parsed

FLEX = torch.ops.higher_order.flex_attention


def flex(
    maker: Maker,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: Callable[..., Tensor],
    block_mask: tuple[Any, ...],
    scale: float,
    kernel_options: dict[str, Any],
    score_mod_other_buffers: tuple[Any, ...] = (),
    mask_mod_other_buffers: tuple[Any, ...] = (),
) -> Parsed:
    """Fields of a `Call` from the op's own signature; it gives the output, its lse and its largest scores."""
    mask_mod = block_mask[-1]

    def change(logits: Tensor, start: int) -> Tensor:
        batch, heads, rows, keys = logits.shape
        at = [torch.arange(n, device=logits.device) for n in (batch, heads, rows, keys)]
        at[2] = at[2] + start
        seen = _everywhere(lambda *where: mask_mod(*where, *mask_mod_other_buffers))(*at)
        modified = _everywhere(lambda s, *where: score_mod(s, *where, *score_mod_other_buffers), first=True)(
            logits, *at
        )
        return modified.masked_fill(~seen, float("-inf"))

    def raw(made: Tensor) -> tuple[Tensor, ...]:
        _, *rest = FLEX(
            query, key, value, score_mod, block_mask, scale, kernel_options,
            score_mod_other_buffers, mask_mod_other_buffers,
        )  # fmt: skip
        return (made, *rest)

    fields = {"mechanism": "flex", "q": query, "k": key, "v": value, "scale": scale, "on_logits": (change,)}
    return Parsed(fields, lambda out: out[0], raw)


def _everywhere(function: Callable[..., Tensor], *, first: bool = False) -> Callable[..., Tensor]:
    """A function of single batches, heads, queries and keys (and, first, of a score), for all of them."""
    for axis in (3, 2, 1, 0):
        places = [0 if at == axis else None for at in range(4)]
        function = torch.vmap(function, in_dims=(0, *places) if first else tuple(places))
    return function


CALLS: dict[Any, Callable[..., Parsed | None]] = {FLEX: flex}
