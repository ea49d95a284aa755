"""`dense`, `tiled` and `native` as ops that torch knows, forward and backward: in compiled graphs each is one node.

An op takes tensors and numbers, so a pattern goes by a number: of a table that keeps a pattern as long as this process
lives, for a compiled graph may be called at any time. Only what is traced comes here; eager calls hold their pattern.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import CallError
from regard.patterns._pattern import Pattern
from regard.softmax import dense, native, tiled
from regard.softmax._pieces import Piece, backward, check, forward, operands
from regard.softmax._problem import Problem

PIECES: dict[str, Callable[[Problem], list[Piece]]] = {
    "dense": dense.pieces_of, "tiled": tiled.pieces_of, "native": native.pieces_of,
}  # fmt: skip
_numbers: dict[Pattern, int] = {}
_patterns: list[Pattern] = []

OPTIONAL = ("more_k", "more_v", "sink", "keep", "bias", "table")
TENSORS = ", ".join(["Tensor q", "Tensor k", "Tensor v", *(f"Tensor? {name}" for name in OPTIONAL)])
FACTS = "str impl, int pattern, float scale"
SECOND = "(Tensor grad, Tensor? grad_lse, Tensor out, Tensor lse, " + TENSORS + ", " + FACTS + ") -> Tensor[]"


def number(pattern: Pattern) -> int:
    """The number by which ops of this process know a pattern; equal patterns have one."""
    if pattern not in _numbers:
        _numbers[pattern] = len(_patterns)
        _patterns.append(pattern)
    return _numbers[pattern]


def call(impl: str, problem: Problem) -> tuple[Tensor, Tensor]:
    """What the implementation gives, by its op."""
    check(problem)
    p = problem
    PIECES[impl](p)  # its refusals
    extra = p.extra if p.extra is not None else (None, None)
    given = p.q, p.k, p.v, *extra, p.sink, p.keep, p.bias, p.table
    made: tuple[Tensor, Tensor] = torch.ops.regard.attend(*given, impl, number(p.pattern), p.scale)
    return made


def _problem(tensors: tuple[Any, ...], pattern: int, scale: float) -> Problem:
    q, k, v, more_k, more_v, sink, keep, bias, table = tensors
    if not 0 <= pattern < len(_patterns):
        raise CallError(f"this process knows no pattern {pattern}", hint="trace again in the process that runs")
    extra = None if more_k is None else (more_k, more_v)
    return Problem(q, k, v, _patterns[pattern], scale, bias, table, keep, extra, sink)


@torch.library.custom_op("regard::attend", mutates_args=(), schema=f"({TENSORS}, {FACTS}) -> (Tensor, Tensor)")
def _attend(*given: Any) -> tuple[Tensor, Tensor]:
    *tensors, impl, pattern, scale = given
    p = _problem(tuple(tensors), pattern, scale)
    with torch.no_grad():
        out, lse = forward(PIECES[impl](p), scale, operands(p))
    return out[..., : p.v.shape[-1]].contiguous(), lse.contiguous()


@_attend.register_fake
def _(*given: Any) -> tuple[Tensor, Tensor]:
    q, _, v, *_ = given
    exact = torch.promote_types(q.dtype, torch.float32)
    return q.new_empty(*q.shape[:3], v.shape[-1]), q.new_empty(q.shape[:3], dtype=exact)


@torch.library.custom_op("regard::attend_backward", mutates_args=(), schema=SECOND)
def _attend_backward(*given: Any) -> list[Tensor]:
    grad, grad_lse, out, lse, *tensors, impl, pattern, scale = given
    p = _problem(tuple(tensors), pattern, scale)
    with torch.no_grad():
        wide = operands(p)
        more = wide[0].shape[-1] - out.shape[-1]
        made = backward(PIECES[impl](p), scale, wide, F.pad(out, (0, more)), lse, F.pad(grad, (0, more)), grad_lse)
    like = (p.q, p.k, p.v, *(p.extra or (None, None)), p.sink)
    return [
        torch.zeros_like(x) if part is None else part[..., : x.shape[-1]].contiguous()
        for x, part in zip(like, made, strict=True)
        if x is not None
    ]


@_attend_backward.register_fake
def _(*given: Any) -> list[Tensor]:
    return [x.new_empty(x.shape) for x in given[4:10] if x is not None]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *tensors, impl, pattern, scale = inputs
    ctx.save_for_backward(*output, *tensors)
    ctx.facts = impl, pattern, scale
    ctx.set_materialize_grads(False)


def _gradient(ctx: Any, grad: Tensor | None, grad_lse: Tensor | None) -> tuple[Tensor | None, ...]:
    out, lse, *tensors = ctx.saved_tensors
    grad = torch.zeros_like(out) if grad is None else grad
    made = iter(torch.ops.regard.attend_backward(grad, grad_lse, out, lse, *tensors, *ctx.facts))
    return *(None if x is None else next(made) for x in tensors[:6]), *(None,) * 6


_attend.register_autograd(_gradient, setup_context=_keep)
