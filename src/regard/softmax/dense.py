"""`dense`: all keys for each query, with a mask for a block of rows at a time. Any pattern, any bias."""

from __future__ import annotations

import functools

from torch import Tensor

from regard.softmax._pieces import Block, Piece, attend_pieces
from regard.softmax._problem import Problem
from regard.softmax._tracing import plain

PAIRS = 1 << 22  # numbers of a mask that are held at a time


def dense(problem: Problem) -> tuple[Tensor, Tensor]:
    """Attention by the fused kernel over all pairs; masks are made a block of rows at a time, and again for backward.

    Raises CallError for a bias that needs a gradient, and away from CPUs.
    """
    return attend_pieces(problem, pieces_of(problem))


def pieces_of(problem: Problem) -> list[Piece]:
    """A block of rows each; one of all where nothing is masked."""
    p = problem
    if everything(p):
        return [Block(slice(None), slice(None), p.scale)]
    batch, heads, count = map(plain, (p.q.shape[0], p.q.shape[1], p.k.shape[2]))
    of_heads = p.bias is not None or p.table is not None or p.pattern.lead
    step = max(1, PAIRS // max(1, batch * (heads if of_heads else 1) * count))
    return [
        Block(
            slice(at, min(at + step, p.q.shape[2])), slice(None), p.scale, functools.partial(_added, p, at, at + step)
        )
        for at in range(0, p.q.shape[2], step)
    ]


def everything(p: Problem) -> bool:
    """Whether every query sees every key, and nothing is added."""
    free = p.bias is None and p.table is None and p.keep is None
    pairs = p.pattern.queries.tokens * p.pattern.keys.tokens
    return free and p.pattern.boxes is not None and p.pattern.count() == pairs


def _added(p: Problem, start: int, stop: int) -> Tensor:
    return p.logits(start, stop).detach()
