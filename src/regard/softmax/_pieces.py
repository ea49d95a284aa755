"""Attention as a sum of pieces: each is some queries' attention to some keys, and all are merged by log sum exp.

Backward needs nothing but q, k, v, the merged output and its log sum exp: with these two in the place of a piece's own,
the kernel's backward of a piece gives just the piece's share of the whole gradient,

    P = exp(S - lse)    delta = sum_d dO O    dS = P (dO V^T - delta)    dQ = s dS K    dK = s dS^T Q    dV = P^T dO.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import CallError
from regard.softmax._problem import Problem
from regard.softmax.merge import merge

Grads = tuple[Tensor, Tensor, Tensor]


@runtime_checkable
class Piece(Protocol):
    """Queries of a slice, and some of the keys; q `[B, H, Q, D]`, k and v `[B, Hk, K, D]`, all of one width."""

    @property
    def queries(self) -> slice: ...

    @property
    def of_extra(self) -> bool: ...

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Output and log sum exp of the slice."""
        ...

    def backward(self, saved: Sequence[Tensor], grad: Tensor, into: Grads) -> None:
        """Add to the gradients of q, k and v; saved: q, k, v, and the merged output and log sum exp of the slice."""
        ...


def kernel(q: Tensor, k: Tensor, v: Tensor, added: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """torch's flash attention for CPUs, which also gives the log sum exp; 4-D operands of one width."""
    out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        q, k, v, 0.0, False, attn_mask=added, scale=scale
    )
    return out, lse


def kernel_backward(
    grad: Tensor, operands: Sequence[Tensor], out: Tensor, lse: Tensor, added: Tensor | None, scale: float
) -> Grads:
    """Gradients of q, k and v, of rows whose output and log sum exp may be those of a larger set of keys."""
    made: Grads = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
        grad, *operands, out, lse, 0.0, False, attn_mask=added, scale=scale
    )
    return made


@dataclass(frozen=True)
class Block:
    """A slice of queries and a slice of keys, with what is added to their logits; nothing: None."""

    queries: slice
    keys: slice
    scale: float
    added: Callable[[], Tensor] | None = None
    of_extra: bool = False

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        added = None if self.added is None else self.added()
        k, v = (_per_head(x[:, :, self.keys], q.shape[1]) for x in (k, v))
        out, lse = kernel(q[:, :, self.queries], k, v, added, self.scale)
        if added is not None:  # the kernel says 0 for a query without keys
            lse = lse.masked_fill((added.amax(-1) == float("-inf")).expand_as(lse), float("-inf"))
        return out, lse

    def backward(self, saved: Sequence[Tensor], grad: Tensor, into: Grads) -> None:
        q, k, v, out, lse = saved
        added = None if self.added is None else self.added()
        wide_k, wide_v = (_per_head(x[:, :, self.keys], q.shape[1]) for x in (k, v))
        made = kernel_backward(grad, (q[:, :, self.queries], wide_k, wide_v), out, lse, added, self.scale)
        into[0][:, :, self.queries] += made[0]
        for total, part in zip(into[1:], made[1:], strict=True):
            total[:, :, self.keys] += part.unflatten(1, (total.shape[1], -1)).sum(2)


def _per_head(x: Tensor, heads: int) -> Tensor:
    return x if x.shape[1] == heads else x.repeat_interleave(heads // x.shape[1], 1)


def attend_pieces(problem: Problem, pieces: Sequence[Piece]) -> tuple[Tensor, Tensor]:
    """All pieces, merged with each other, with extra keys and with the sink."""
    p = problem
    if p.q.device.type != "cpu":
        raise CallError(f"this implementation is for CPUs, q is on {p.q.device}", hint="impl='composite'")
    wrong = [x for x in (p.bias, p.table) if x is not None and x.requires_grad and torch.is_grad_enabled()]
    if wrong:
        raise CallError("the bias needs a gradient, which the fused kernel does not give", hint="impl='composite'")
    if p.extra is not None and p.extra[0].shape[2]:
        pieces = [*pieces, Block(slice(None), slice(None), p.scale, of_extra=True)]
    width = max(p.q.shape[-1], p.v.shape[-1])
    k, v = p.extra if p.extra is not None else (None, None)
    operands = [None if x is None else F.pad(x, (0, width - x.shape[-1])) if x.shape[-1] < width else x
                for x in (p.q, p.k, p.v, k, v)]  # fmt: skip
    out, lse = _Pieces.apply(pieces, *operands, p.sink)
    return out[..., : p.v.shape[-1]], lse


class _Pieces(torch.autograd.Function):
    """The pieces as one function: nothing but operands, output and log sum exp is kept for backward."""

    @staticmethod
    def forward(
        ctx: Any, pieces: Sequence[Piece], q: Tensor, k: Tensor, v: Tensor, more_k: Tensor | None,
        more_v: Tensor | None, sink: Tensor | None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        exact = torch.promote_types(q.dtype, torch.float32)
        parts: list[tuple[slice, tuple[Tensor, Tensor]]] = []
        for piece in pieces:
            part = piece.forward(q, more_k, more_v) if piece.of_extra else piece.forward(q, k, v)  # type: ignore[arg-type]
            parts.append((piece.queries, part))
        out, lse = _joined(q, parts)
        if sink is not None:
            out, lse = merge(out, lse, torch.zeros_like(out), sink.to(exact)[:, None].expand_as(lse))
        ctx.save_for_backward(q, k, v, more_k, more_v, sink, out, lse)
        ctx.pieces = pieces
        ctx.mark_non_differentiable(lse)
        return out, lse

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph=True: torch would leave the second derivative out, in silence
            raise CallError("the fused kernel has no second derivative", hint="impl='composite'")
        q, k, v, more_k, more_v, sink, out, lse = ctx.saved_tensors
        into = tuple(torch.zeros(x.shape, dtype=x.dtype) for x in (q, k, v))
        more = (into[0], *(None if x is None else torch.zeros(x.shape, dtype=x.dtype) for x in (more_k, more_v)))
        d_sink = None
        if sink is not None:
            weight = (sink[:, None] - lse).exp()
            d_sink = -(weight * (grad * out).sum(-1)).sum((0, 2))
        lse = lse.masked_fill(lse == float("-inf"), 0.0)  # of queries without keys, whose logits are all -inf
        for piece in ctx.pieces:
            part = piece.queries
            saved = (q, more_k, more_v) if piece.of_extra else (q, k, v)
            piece.backward(
                (*saved, out[:, :, part], lse[:, :, part]), grad[:, :, part], more if piece.of_extra else into
            )
        return None, *into, *more[1:], d_sink


def _joined(q: Tensor, parts: list[tuple[slice, tuple[Tensor, Tensor]]]) -> tuple[Tensor, Tensor]:
    """Parts in their places, merged where they meet; one that is the whole is taken as it is."""
    if len(parts) == 1 and parts[0][1][0].shape[2] == q.shape[2]:
        return parts[0][1]
    out = torch.zeros(q.shape, dtype=q.dtype)
    lse = torch.full(q.shape[:3], float("-inf"), dtype=torch.promote_types(q.dtype, torch.float32))
    touched = torch.zeros(q.shape[2], dtype=torch.bool)
    for place, part in parts:
        if touched[place].any():
            part = merge(out[:, :, place], lse[:, :, place], *part)
        out[:, :, place], lse[:, :, place] = part
        touched[place] = True
    return out, lse
