"""`reference`: the definition in float64, with all logits in memory. The oracle of every other implementation."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.errors import CallError
from regard.softmax._problem import Problem

LIMIT = 1 << 26  # logits; of one picture with 12 heads, 2,300 tokens


def reference(problem: Problem) -> tuple[Tensor, Tensor]:
    """softmax(scale q k^T + bias, -inf where the pattern or the mask forbids) v, and the log sum exp of the logits.

    A query without keys gives zeros and -inf. Differentiable as often as one likes.
    Raises CallError above 2^26 logits.
    """
    size = problem.q.shape[:3].numel() * problem.k.shape[2]
    if size > LIMIT:
        raise CallError(
            f"the reference would hold {size} logits, {size / LIMIT:.1f} times its limit",
            hint="impl='tiled' for patterns with intervals, 'dense' for others",
        )
    wide = problem.q.dtype
    q, k, v = (x.double() for x in (problem.q, problem.k, problem.v))
    k, v = (x.repeat_interleave(problem.groups, 1) for x in (k, v))
    logits = problem.scale * (q @ k.mT) + problem.logits(0, q.shape[2]).double()
    if problem.extra is not None:
        more, values = (x.double().repeat_interleave(problem.groups, 1) for x in problem.extra)
        logits, v = torch.cat([logits, problem.scale * (q @ more.mT)], -1), torch.cat([v, values], 2)
    if problem.sink is not None:
        sink = problem.sink.double().view(1, -1, 1, 1).expand(*q.shape[:3], 1)
        logits, v = torch.cat([logits, sink], -1), torch.cat([v, torch.zeros_like(v[:, :, :1])], 2)
    out, lse = weigh(logits, v)
    return out.to(wide), lse.to(torch.promote_types(wide, torch.float32))


def weigh(logits: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax over the last axis times v; rows of -inf give zeros, and no gradient."""
    blind = logits.amax(-1, keepdim=True) == float("-inf")
    safe = logits.masked_fill(blind, 0.0)
    lse = safe.logsumexp(-1).masked_fill(blind[..., 0], float("-inf"))
    return torch.softmax(safe, -1).masked_fill(blind, 0.0) @ v, lse
