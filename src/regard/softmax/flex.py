"""`flex`: torch's FlexAttention, compiled, with block masks made from intervals and kept.

A pattern is tables that its mask looks up, so one compiled function serves all patterns of as many axes and boxes
on tokens of one number. Extra keys and the sink are appended to the keys. What torch cannot do is refused: it would
fall back to all pairs without a word.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, no_type_check

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import CallError
from regard.patterns._pattern import Pattern
from regard.softmax._problem import Problem
from regard.softmax.block_mask import block_mask

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask

KEPT = 32  # block masks


def flex(problem: Problem) -> tuple[Tensor, Tensor | None]:
    """Attention under a pattern with intervals by FlexAttention: forward on CPUs, without a log sum exp (None) there.

    The first call for each size, type and kind of bias compiles, for half a minute on a CPU. Written for GPUs with
    backward and log sum exp as well; there it was never run. Raises CallError for patterns without intervals, float64,
    a gradient on a CPU, and where torch cannot compile.
    """
    p = problem
    _refuse(p)
    more = 0 if p.extra is None else p.extra[0].shape[2]
    k, v = (x if p.extra is None else torch.cat([x, p.extra[at]], 2) for at, x in enumerate((p.k, p.v)))
    if p.sink is not None:
        k, v, more = F.pad(k, (0, 0, 0, 1)), F.pad(v, (0, 0, 0, 1)), more + 1
    q, k, v = _apart(p.q, k, v)
    kept = _block_mask(p.pattern, more, q.device)
    return run(q, k, v, _score(p, more), kept, p.scale, p.groups > 1, q.device.type != "cpu")


def run(
    q: Tensor, k: Tensor, v: Tensor, score: Callable[..., Tensor] | None, mask: BlockMask, scale: float, grouped: bool,
    with_lse: bool,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """The compiled function; more kinds of it than torch keeps are an error, not its slow stand-in."""
    from torch._dynamo.exc import FailOnRecompileLimitHit, TorchDynamoException

    try:
        return _compiled()(q, k, v, score, mask, scale, grouped, with_lse)
    except (TorchDynamoException, FailOnRecompileLimitHit, NotImplementedError) as error:
        said = str(error).strip().splitlines() or [""]
        raise CallError(
            f"torch cannot compile FlexAttention here ({type(error).__name__}: {said[0]})",
            hint="impl='tiled' on a CPU, 'composite' elsewhere; a C++ compiler; torch._dynamo.config.recompile_limit",
        ) from error


def call(
    q: Tensor, k: Tensor, v: Tensor, score: Callable[..., Tensor] | None, mask: BlockMask, scale: float, grouped: bool,
    with_lse: bool,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """What is compiled, with a place of its own in torch's cache."""
    from torch.nn.attention import flex_attention as torch_flex

    attention = torch_flex.flex_attention
    if with_lse:
        wanted = torch_flex.AuxRequest(lse=True)
        out, aux = attention(q, k, v, score, mask, scale=scale, enable_gqa=grouped, return_aux=wanted)
        return out, aux.lse
    return attention(q, k, v, score, mask, scale=scale, enable_gqa=grouped), None


@functools.cache
def _compiled() -> Callable[..., Any]:
    return torch.compile(call, dynamic=False, fullgraph=True)


@functools.lru_cache(maxsize=KEPT)
def _block_mask(pattern: Pattern, more: int, device: torch.device) -> BlockMask:
    return block_mask(pattern, more=more, device=device)


def _refuse(p: Problem) -> None:
    if p.pattern.boxes is None:
        raise CallError(f"{p.pattern} has no intervals to make blocks of", hint="impl='dense' or 'composite'")
    if p.q.dtype == torch.float64:
        raise CallError("FlexAttention is not compiled for float64", hint="q.float(), or impl='tiled'")
    given = (p.q, p.k, p.v, p.bias, p.table, p.sink, *(p.extra or ()))
    if p.q.device.type == "cpu" and torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in given):
        raise CallError("FlexAttention has no backward on a CPU", hint="impl='tiled', or torch.no_grad()")


def _apart(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The compiled function on a CPU takes no buffer twice, and nothing that needs a gradient, be it in no_grad."""
    if q.device.type != "cpu":
        return q, k, v
    q, k, v = q.detach(), k.detach(), v.detach()
    if k.data_ptr() == q.data_ptr():
        k = k.clone()
    return q, k, v.clone() if v.data_ptr() in (q.data_ptr(), k.data_ptr()) else v


def _score(p: Problem, more: int) -> Callable[..., Tensor] | None:
    """What is added to the logits: biases, padding as -inf, and the sink in the place of the last key's own."""
    if p.bias is None and p.table is None and p.keep is None and p.sink is None:
        return None
    bias = None if p.bias is None else F.pad(p.bias.expand(*p.q.shape[:3], p.k.shape[2]), (0, more))
    keep = None if p.keep is None else F.pad(p.keep, (0, more), value=True)
    sink, last = p.sink, p.k.shape[2] + more - 1
    table, at_query, at_key, middle = _relative(p, more)

    @no_type_check  # torch counts the arguments of this very function
    def score(logit: Tensor, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        if bias is not None:
            logit = logit + bias[batch, head, query, key]
        if table is not None and at_query is not None and at_key is not None:
            at = (at_key[key] - at_query[query] + middle).clamp(0, table.shape[1] - 2)
            nowhere = (at_key[key] < 0) | (at_query[query] < 0)
            logit = logit + table[head, torch.where(nowhere, table.shape[1] - 1, at)]
        if keep is not None:
            logit = torch.where(keep[batch, key], logit, -float("inf"))
        return logit if sink is None else torch.where(key == last, sink[head], logit)

    return score


def _relative(p: Problem, more: int) -> tuple[Tensor | None, Tensor | None, Tensor | None, int]:
    """The flattened table with a 0 at its end, the numbers of queries and keys in it, and what stands between them.

    Numbers of prefix tokens and extra keys are -1. Pairs that are not seen may lie anywhere.
    """
    if p.table is None:
        return None, None, None, 0
    numbers, middle = [], 0
    for space in (p.pattern.queries, p.pattern.keys):
        number, middle = torch.zeros(space.body, dtype=torch.long), 0
        for place, size in zip(space.places(torch.arange(space.body)), p.table.shape[1:], strict=True):
            number, middle = number * size + place, middle * size + size // 2
        numbers.append(F.pad(number, (space.prefix, 0), value=-1))
    query, key = numbers[0], F.pad(numbers[1], (0, more), value=-1)
    return F.pad(p.table.flatten(1), (0, 1)), query.to(p.q.device), key.to(p.q.device), middle
