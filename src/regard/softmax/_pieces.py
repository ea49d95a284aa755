"""Attention as a sum of pieces: each is some queries' attention to some keys, and all are merged by log sum exp.

Backward needs nothing but q, k, v, the merged output and its log sum exp: with these two in the place of a piece's own,
the kernel's backward of a piece gives just the piece's share of the whole gradient,

    P = exp(S - lse)    delta = sum_d dO O - d lse    dS = P (dO V^T - delta)
    dQ = s dS K         dK = s dS^T Q                 dV = P^T dO.
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
Operands = tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None]


@runtime_checkable
class Piece(Protocol):
    """Queries of a slice, and some of the keys; q `[B, H, Q, D]`, k and v `[B, Hk, K, D]`, all of one width."""

    @property
    def queries(self) -> slice: ...

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Output and log sum exp of the slice."""
        ...

    def backward(self, saved: Sequence[Tensor], grad: Tensor, into: Grads) -> None:
        """Add to the gradients of q, k and v; saved: q, k, v, and the merged output and log sum exp of the slice."""
        ...


def kernel(q: Tensor, k: Tensor, v: Tensor, added: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """torch's flash attention for CPUs, which also gives the log sum exp; 4-D operands of one width."""
    q, k, v, added = map(_lined, (q, k, v, added))  # type: ignore[assignment]
    out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        q, k, v, 0.0, False, attn_mask=added, scale=scale
    )
    return out, lse


def kernel_backward(
    grad: Tensor, operands: Sequence[Tensor], out: Tensor, lse: Tensor, added: Tensor | None, scale: float
) -> Grads:
    """Gradients of q, k and v, of rows whose output and log sum exp may be those of a larger set of keys."""
    grad, *operands, out, added = map(_lined, (grad, *operands, out, added))  # type: ignore[assignment]
    made: Grads = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
        grad, *operands, out, lse, 0.0, False, attn_mask=added, scale=scale
    )
    return made


def _lined(x: Tensor | None) -> Tensor | None:
    """With the numbers of a row in a line: the kernel takes it for granted and reads whatever is there if not."""
    return x if x is None or x.stride(-1) == 1 else x.contiguous()


@dataclass(frozen=True)
class Block:
    """A slice of queries and a slice of keys, with what is added to their logits; nothing: None."""

    queries: slice
    keys: slice
    scale: float
    added: Callable[[], Tensor] | None = None

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
    check(problem)
    out, lse = _Pieces.apply(pieces, problem.scale, *operands(problem))
    return out[..., : problem.v.shape[-1]], lse


def check(p: Problem) -> None:
    """What the fused kernel can do at all."""
    if p.q.device.type != "cpu":
        raise CallError(f"this implementation is for CPUs, q is on {p.q.device}", hint="impl='composite'")
    wrong = [x for x in (p.bias, p.table) if x is not None and x.requires_grad and torch.is_grad_enabled()]
    if wrong:
        raise CallError("the bias needs a gradient, which the fused kernel does not give", hint="impl='composite'")


def operands(p: Problem) -> Operands:
    """q, k, v, extra keys and values, all of one width, and the sink."""
    width = max(p.q.shape[-1], p.v.shape[-1])
    more_k, more_v = p.extra if p.extra is not None and p.extra[0].shape[2] else (None, None)
    wide = [None if x is None else _lined(_wider(x, width)) for x in (p.q, p.k, p.v, more_k, more_v)]
    return *wide, p.sink  # type: ignore[return-value]


def _wider(x: Tensor, width: int) -> Tensor:
    return F.pad(x, (0, width - x.shape[-1])) if x.shape[-1] < width else x


def forward(pieces: Sequence[Piece], scale: float, given: Operands) -> tuple[Tensor, Tensor]:
    """Output and log sum exp of all."""
    q, k, v, more_k, more_v, sink = given
    parts = [(piece.queries, piece.forward(q, k, v)) for piece in pieces]
    if more_k is not None and more_v is not None:
        everyone = Block(slice(None), slice(None), scale)
        parts.append((everyone.queries, everyone.forward(q, more_k, more_v)))
    out, lse = _joined(q, parts)
    if sink is not None:
        out, lse = merge(out, lse, torch.zeros_like(out), sink.to(lse.dtype)[:, None].expand_as(lse))
    return out, lse


def backward(
    pieces: Sequence[Piece], scale: float, given: Operands, out: Tensor, lse: Tensor, grad: Tensor,
    grad_lse: Tensor | None,
) -> list[Tensor | None]:  # fmt: skip
    """Gradients of all operands, from those of the output and of the log sum exp.

    The latter enters as dS = P (dP - (delta - d lse)). The kernel makes delta from the output that it is given: one
    more column, of ones there, of -d lse in the output's gradient and of zeros in q, k and v, takes d lse off.
    """
    q, k, v, more_k, more_v, sink = given
    weight = None if sink is None else (sink[:, None] - lse).exp()
    lse = lse.masked_fill(lse == float("-inf"), 0.0)  # of queries without keys, whose logits are all -inf
    width = q.shape[-1]
    if grad_lse is not None:
        q, k, v, more_k, more_v = (None if x is None else _wider(x, width + 1) for x in (q, k, v, more_k, more_v))  # type: ignore[assignment]
        out = F.pad(out, (0, 1), value=1.0)
        grad = torch.cat([grad, -grad_lse[..., None].to(grad.dtype)], -1)
    made = [None if x is None else torch.zeros(x.shape, dtype=x.dtype) for x in (q, k, v, more_k, more_v)]
    for piece in pieces:
        part = piece.queries
        piece.backward((q, k, v, out[:, :, part], lse[:, :, part]), grad[:, :, part], (made[0], made[1], made[2]))  # type: ignore[arg-type]
    if more_k is not None and more_v is not None:
        everyone = Block(slice(None), slice(None), scale)
        everyone.backward((q, more_k, more_v, out, lse), grad, (made[0], made[3], made[4]))  # type: ignore[arg-type]
    d_sink = None if weight is None else -(weight * (grad * out).sum(-1)).sum((0, 2)).to(q.dtype)
    return [*(None if x is None else x[..., :width] for x in made), d_sink]


class _Pieces(torch.autograd.Function):
    """The pieces as one function: nothing but operands, output and log sum exp is kept for backward."""

    @staticmethod
    def forward(ctx: Any, pieces: Sequence[Piece], scale: float, *given: Tensor | None) -> tuple[Tensor, Tensor]:
        out, lse = forward(pieces, scale, given)  # type: ignore[arg-type]
        ctx.save_for_backward(*given, out, lse)
        ctx.pieces, ctx.scale = pieces, scale
        ctx.set_materialize_grads(False)
        return out, lse

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, grad_lse: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph=True: torch would leave the second derivative out, in silence
            raise CallError("the fused kernel has no second derivative", hint="impl='composite'")
        *given, out, lse = ctx.saved_tensors
        grad = torch.zeros_like(out) if grad is None else grad
        return None, None, *backward(ctx.pieces, ctx.scale, tuple(given), out, lse, grad, grad_lse)


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
