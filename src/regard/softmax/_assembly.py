"""Boxes, prefix tokens, more keys and the sink as one attention: parts in ops that torch differentiates, merged.

For the ways that have boxes of their own and leave the rest, which is small, to plain torch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from regard.patterns._axis import Box
from regard.softmax._problem import Problem
from regard.softmax.merge import merge
from regard.softmax.reference import weigh

PAIRS = 1 << 24  # logits of a block of rows, where there are no intervals
Part = tuple[Tensor, Tensor]


def assembled(problem: Problem, of_box: Callable[[Problem, Box], Part]) -> Part:
    """Attention under any pattern; of_box: the body's attention to the keys of a box. The rest at least in float32."""
    p = problem if problem.q.dtype.itemsize >= 4 else problem.to(torch.float32)
    if p.pattern.boxes is None:
        out, lse = _rows(p, range(0, p.q.shape[2], max(1, PAIRS // (p.q.shape[:2].numel() * p.k.shape[2]))))
    else:
        parts = [of_box(problem, box) for box in p.pattern.boxes]
        if p.pattern.keys.prefix or not parts:
            parts.append(_before(p))
        out, lse = functools.reduce(lambda one, other: merge(one[0].to(p.q), one[1], *other), parts)
        if p.pattern.queries.prefix:
            first, first_lse = _rows(p, range(0, p.pattern.queries.prefix, p.pattern.queries.prefix))
            out, lse = torch.cat([first, out.to(p.q)], 2), torch.cat([first_lse, lse], 2)
    out, lse = _with_more(p, p.q, out, lse)
    if p.sink is not None:
        out, lse = merge(out.to(p.q), lse, torch.zeros_like(out, dtype=p.q.dtype), p.sink[:, None].expand_as(lse))
    return out.to(problem.q.dtype), lse


def whole_rows(p: Problem, stop: int) -> Part:
    """The attention of queries 0 .. stop - 1 to all that they see, but a sink; at least in float32."""
    p = p if p.q.dtype.itemsize >= 4 else p.to(torch.float32)
    return _with_more(p, p.q[:, :, :stop], *_rows(p, range(0, stop, stop)))


def _with_more(p: Problem, q: Tensor, out: Tensor, lse: Tensor) -> Part:
    if p.extra is None or not p.extra[0].shape[2]:
        return out, lse
    more, values = (x.repeat_interleave(p.groups, 1) for x in p.extra)
    return merge(out.to(q), lse, *weigh(p.scale * (q @ more.mT), values))


def _rows(p: Problem, starts: range) -> Part:
    """Whole rows, a block at a time."""
    k, v = (x.repeat_interleave(p.groups, 1) for x in (p.k, p.v))
    made = []
    for start in starts:
        stop = min(start + starts.step, p.q.shape[2])
        made.append(weigh(p.scale * (p.q[:, :, start:stop] @ k.mT) + p.logits(start, stop), v))
    outs, lses = zip(*made, strict=True)
    return torch.cat(outs, 2), torch.cat(lses, 2)


def _before(p: Problem) -> Part:
    """The body's attention to prefix keys; without any, to nothing."""
    first, before = p.pattern.queries.prefix, p.pattern.keys.prefix
    q, v = p.q[:, :, first:], p.v[:, :, :before].repeat_interleave(p.groups, 1)
    if not before:
        return q.new_zeros(*q.shape[:3], v.shape[3]), q.new_full(q.shape[:3], float("-inf"))
    logits = p.scale * (q @ p.k[:, :, :before].repeat_interleave(p.groups, 1).mT)
    if p.bias is not None:
        logits = logits + p.bias.expand(*p.q.shape[:3], p.k.shape[2])[:, :, first:, :before]
    if p.keep is not None:
        logits = logits.masked_fill(~p.keep[:, None, None, :before], float("-inf"))
    return weigh(logits, v)
