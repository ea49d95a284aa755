"""`attend`: make an edited or tapped call, by the model's own fused kernel where a closed form allows it.

Otherwise rows of probabilities are computed block by block. The gradient with respect to probabilities is never
stored: `_Stream` is the fused kernel forward, and backward goes over blocks of rows,

    P = softmax(S)    dP = dO V^T    dS = P (dP - sum_d dO O)    dQ = s dS K    dK = s dS^T Q    dV = P^T dO

and hands P and dP to the taps in passing. Both lie in buffers that the next block overwrites.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from regard.core.call import Call, Rows, Tap, Workspace
from regard.errors import CallError, EditError


def attend(call: Call, taps: Sequence[Tap] = ()) -> tuple[Tensor, Tensor]:
    """The product of probabilities and values `[B, H, Q, Dv]`, and the output that edits make of it."""
    if taps and call.dropout:
        raise CallError(
            f"{call.site} drops attention at random, so its gradient cannot be computed again", hint="model.eval()"
        )
    product = _product(call, taps)
    out = product
    for change in call.after:
        before, out = out, change(out)
        if not isinstance(out, Tensor) or (out.shape, out.dtype) != (before.shape, before.dtype):
            raise EditError(
                f"an edit of the output of {call.site} gave {_what(out)} for {_what(before)}",
                hint="out [B, H, Q, D] in, the same shape and type out",
            )
    return product, out


def _product(call: Call, taps: Sequence[Tap]) -> Tensor:
    if call.weights is None and not call.rules and not call.on_logits:
        return _streamed(call, taps) if taps else fused(call)
    if call.rules and not taps:
        *earlier, last = call.rules
        before = replace(call, rules=tuple(earlier))
        closed = last.closed(before, lambda v: _product(replace(before, v=v), ())) if last.closed else None
        if closed is not None:
            return closed
    return _by_rows(call, taps)


def fused(call: Call) -> Tensor:
    """The model's own kernel on the call's operands."""
    q, k = call.operand("q"), call.operand("k")
    scale = None if call.scale == q.shape[-1] ** -0.5 else call.scale  # torch's own rounding of its default
    return F.scaled_dot_product_attention(
        q, k, call.values.to(q.dtype), attn_mask=call.bias, dropout_p=call.dropout, is_causal=call.causal,
        scale=scale, enable_gqa=k.shape[1] != q.shape[1],
    )  # fmt: skip


def _by_rows(call: Call, taps: Sequence[Tap]) -> Tensor:
    """probs @ v, a block of rows at a time; in one piece where the model holds the matrix itself."""
    v = call.values_per_head
    pieces = []
    for start, stop in [(0, call.queries)] if call.weights is not None else call.spans():
        plain = call.weights is not None and not call.rules
        probs = call.weights if plain and call.weights is not None else call.probs(start, stop)
        expected = (call.batch, call.heads, stop - start, call.keys)
        if probs.shape != expected:
            raise EditError(
                f"an edit at {call.site} gave {list(probs.shape)} for {list(expected)}", hint="probs [B, H, rows, K]"
            )
        if taps:
            probs = _tapped(probs, taps, start, call)
        if call.dropout:
            probs = F.dropout(probs, call.dropout)
        pieces.append(probs.to(v.dtype) @ v)
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=2)


def _tapped(probs: Tensor, taps: Sequence[Tap], start: int, call: Call) -> Tensor:
    def reduce(grad: Tensor) -> None:
        p = probs.detach().float() if probs.dtype.itemsize < 4 else probs.detach()
        _hand_out(taps, Rows(start, p.log(), p, call.queries, masked=True, given=True), grad.to(p.dtype))

    return _Pass.apply(probs, reduce, *(tap.leaf for tap in taps))


def _hand_out(taps: Sequence[Tap], rows: Rows, grad: Tensor) -> None:
    for tap in taps:
        tap.reduce(rows, grad)


class _Pass(torch.autograd.Function):
    """Identity whose backward shows the gradient to `reduce`."""

    @staticmethod
    def forward(ctx: Any, probs: Tensor, reduce: Callable[[Tensor], None], *leaves: Tensor) -> Tensor:
        ctx.reduce, ctx.leaves = reduce, len(leaves)
        return probs.view_as(probs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        with torch.no_grad(), torch._C.DisableTorchFunction():
            ctx.reduce(grad)
        return grad, None, *_zeros(ctx.leaves, grad)


def _streamed(call: Call, taps: Sequence[Tap]) -> Tensor:
    stripped = replace(call, q=None, k=None, v=None, bias=None)
    return _Stream.apply(stripped, taps, call.q, call.k, call.v, call.bias, *(tap.leaf for tap in taps))


class _Stream(torch.autograd.Function):
    """Fused attention whose backward computes the probabilities again and hands them out with their gradient."""

    @staticmethod
    def forward(
        ctx: Any, call: Call, taps: Sequence[Tap], q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, *_: Tensor
    ) -> Tensor:
        out = fused(replace(call, q=q, k=k, v=v, bias=bias))
        ctx.save_for_backward(q, k, v, bias, out)
        ctx.call, ctx.taps = call, taps
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, bias, out = ctx.saved_tensors
        call = replace(ctx.call, q=q, k=k, v=v, bias=bias)
        with torch.no_grad(), torch._C.DisableTorchFunction():
            made = _backward(call, ctx.taps, out, grad, tuple(ctx.needs_input_grad[2:6]))
        like = (q, k, v, bias)
        grads = (None if g is None else g.to(t.dtype) for g, t in zip(made, like, strict=True))
        return None, None, *grads, *_zeros(len(ctx.taps), grad)


def _zeros(count: int, like: Tensor) -> list[Tensor]:
    return [like.new_zeros(()) for _ in range(count)]


def _backward(
    call: Call, taps: Sequence[Tap], out: Tensor, grad: Tensor, needs: tuple[bool, ...]
) -> list[Tensor | None]:
    """Gradients of q, k, v and bias where they are needed; the taps see each block of rows."""
    wide = torch.promote_types(call.values.dtype, torch.float32)
    lead = call.batch * call.heads
    q, k, v, grad, out = (
        x.to(wide).reshape(lead, -1, x.shape[-1])
        for x in (call.operand("q"), call._keys_per_head, call.values_per_head, grad, out)
    )
    dq, dk, dv = (torch.zeros_like(x) if need else None for x, need in zip((q, k, v), needs, strict=False))
    dbias = torch.zeros_like(call.bias, dtype=wide) if call.bias is not None and needs[3] else None
    inner = (grad * out).sum(-1, keepdim=True)
    workspace = Workspace()
    for rows in call.blocks(workspace):
        here = slice(rows.start, rows.stop)
        shape = (lead, rows.stop - rows.start, call.keys)
        d_probs = torch.matmul(grad[:, here], v.mT, out=workspace.lend("d_probs", shape, v))
        probs = rows.probs.view(shape)
        _hand_out(taps, rows, d_probs.view_as(rows.probs))
        if dv is not None:
            dv.baddbmm_(probs.mT, grad[:, here])
        d_logits = d_probs.sub_(inner[:, here]).mul_(probs)
        if dq is not None:
            dq[:, here] = d_logits @ k
        if dk is not None:
            dk.baddbmm_(d_logits.mT, q[:, here], alpha=call.scale)
        if dbias is not None:
            _add_bias(dbias, d_logits.view_as(rows.probs), rows)
    if dq is not None:
        dq *= call.scale
    shaped = (None if g is None else g.unflatten(0, (call.batch, call.heads)) for g in (dq, dk, dv))
    dq, dk, dv = (_ungroup(g, like) for g, like in zip(shaped, (call.q, call.k, call.v), strict=True))
    return [dq, dk, dv, dbias]


def _add_bias(dbias: Tensor, d_logits: Tensor, rows: Rows) -> None:
    """Sum over whatever the bias is broadcast over."""
    four = dbias.view(*(1,) * (4 - dbias.ndim), *dbias.shape)
    part = four if four.shape[2] == 1 else four[:, :, rows.start : rows.stop]
    part += d_logits.sum_to_size(part.shape)


def _ungroup(grad: Tensor | None, like: Tensor | None) -> Tensor | None:
    """Sum over the queries' heads that share a key head."""
    if grad is None or like is None or grad.shape[1] == like.shape[1]:
        return grad
    return grad.unflatten(1, (like.shape[1], -1)).sum(2)


def _what(value: object) -> str:
    return f"{list(value.shape)} {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
