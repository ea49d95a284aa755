"""Every attention call of a run, with what backward brings to its output, and the calls that it rests on.

With out = A V the gradient of A is G V^T: of a call only q, k, v and G are kept, never a matrix.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regard.core.call import Call
from regard.core.edit import Edit, Edited
from regard.subjects.forward import frozen
from regard.subjects.scorer import Scorer

OPERANDS = ("q", "k", "v", "weights")


@dataclass(frozen=True)
class Caught:
    """A call, off the graph; what backward brings to its output; which calls its queries and its keys rest on.

    A call rests on another, by its number, where its tokens are made of that one's output and no call lies between.
    """

    call: Call
    slope: Float[Tensor, "b h q d"]
    of_queries: frozenset[int]
    of_keys: frozenset[int]


def caught(score: Scorer, rules: AbstractContextManager[Any] | None = None, *, relative: bool = False) -> list[Caught]:
    """The calls of one forward, in order, and of a backward from the score, or (relative) from 1 in its place.

    rules: a mode in which both happen.
    """
    score.value  # noqa: B018  the target is found before rules are on
    calls: list[tuple[Call, frozenset[int], frozenset[int]]] = []
    outs: list[Tensor] = []

    def catch(call: Call) -> Call:
        def keep(out: Tensor) -> Tensor:
            keys = call.v if call.k is None else call.k
            calls.append((_off(call), _rests_on(call.weights if call.q is None else call.q), _rests_on(keys)))
            outs.append(_Kept.apply(out, torch.zeros((), requires_grad=True), len(outs)))
            return outs[-1]

        return call.then(keep)

    on = score.on
    with frozen(on.model), rules or nullcontext(), Edited(on.model, on.mechanisms, Edit("kept", catch), "*"):
        scores = score.run(on.x)
        start = (scores / scores.detach()).sum() if relative else scores.sum()
        found = torch.autograd.grad(start, outs, allow_unused=True) if outs else ()
    given = (torch.zeros_like(out) if one is None else one for out, one in zip(outs, found, strict=True))
    return [Caught(call, slope, *sides) for (call, *sides), slope in zip(calls, given, strict=True)]


def _off(call: Call) -> Call:
    """The call off the graph, and without what was to follow."""
    held = {name: getattr(call, name) for name in OPERANDS}
    return replace(call, after=(), **{name: one.detach() for name, one in held.items() if one is not None})


def _rests_on(tokens: Tensor | None) -> frozenset[int]:
    """Calls whose outputs a tensor is made of, up to the next call backwards."""
    found: set[int] = set()
    left, seen = [None if tokens is None else tokens.grad_fn], set()
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        number = getattr(node, "call_number", None)  # of _Kept's nodes alone
        if number is not None:
            found.add(number)
        else:
            left += [one for one, _ in node.next_functions]
    return frozenset(found)


class _Kept(torch.autograd.Function):
    """Identity that is on the graph whatever comes in, and that a walk along the graph knows by its number."""

    @staticmethod
    def forward(ctx: Any, out: Tensor, leaf: Tensor, number: int) -> Tensor:
        ctx.call_number = number
        return out.view_as(out)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        return grad, grad.new_zeros(()), None
