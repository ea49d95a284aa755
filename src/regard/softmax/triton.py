"""`triton`: boxes by kernels of our own, read where they lie, forward and backward, for GPUs.

See `_kernels` for how. Prefix tokens, more keys and the sink are parts in plain torch that are merged.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import math
import os
from typing import Any

import torch
from torch import Tensor

from regard.errors import CallError, ExtraError
from regard.patterns._axis import Axis, Box, steps
from regard.softmax._assembly import assembled
from regard.softmax._geometry import ONE
from regard.softmax._problem import Problem

TILE = 64  # queries, resp. keys, of a program
AT_A_TIME = 32  # keys, resp. queries, that it takes at once
WIDEST = 128  # wider heads do not fit into a program
TYPES = (torch.float32, torch.float16, torch.bfloat16)
Plan = tuple[tuple[int, ...], tuple[int, ...]]  # shape of a tile, and how many there are on each axis


def triton(problem: Problem) -> tuple[Tensor, Tensor]:
    """Attention under a pattern with intervals, on a GPU; output and log sum exp have gradients, the same in each run.

    Every other part of the problem is as in `composite`. Correct in triton's interpreter and compiled for Hopper; on a
    GPU it was never run. Needs triton 3.3, for arguments that are tuples.
    Raises CallError for patterns without intervals, a bias of single pairs, a bias table that needs a gradient, other
    types than float32, float16 and bfloat16, and on a CPU, unless TRITON_INTERPRET=1; ExtraError without triton.
    """
    _refuse(problem)
    return assembled(problem, _box)


def _refuse(p: Problem) -> None:
    if p.pattern.boxes is None:
        raise CallError(f"{p.pattern} has no intervals to make tiles of", hint="impl='composite'")
    if p.q.dtype not in TYPES:
        raise CallError(f"no kernel for {p.q.dtype}", hint="float32, float16 or bfloat16; impl='composite'")
    if max(p.q.shape[3], p.v.shape[3]) > WIDEST:
        raise CallError(f"heads of {max(p.q.shape[3], p.v.shape[3])}, {WIDEST} at most", hint="impl='composite'")
    if p.bias is not None:
        raise CallError(
            "a bias of single pairs is as large as what tiles avoid", hint="a RelativeTable or LowRank bias"
        )
    if p.table is not None and p.table.requires_grad and torch.is_grad_enabled():
        raise CallError("the bias needs a gradient, which the kernels do not give", hint="impl='composite'")
    if p.q.device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        raise CallError(
            f"triton is for GPUs, q is on {p.q.device}", hint="impl='tiled'; or TRITON_INTERPRET=1, to test"
        )
    if importlib.util.find_spec("triton") is None:
        raise ExtraError("triton is not installed", hint="pip install triton")


def _box(p: Problem, box: Box) -> tuple[Tensor, Tensor]:
    """The body's attention to the keys of a box."""
    first, before = p.pattern.queries.prefix, p.pattern.keys.prefix
    table = None if p.table is None else p.table.detach().contiguous()
    keep = None if p.keep is None else p.keep[:, before:].to(torch.uint8).contiguous()
    made: tuple[Tensor, Tensor] = _Box.apply(
        p.q[:, :, first:], p.k[:, :, before:], p.v[:, :, before:], table, keep, box, p.scale
    )
    return made


class _Box(torch.autograd.Function):
    """One box: nothing but operands, output and log sum exp is kept for backward."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, table: Tensor | None, keep: Tensor | None, box: Box, scale: float
    ) -> tuple[Tensor, Tensor]:
        from regard.softmax import _kernels

        out = q.new_empty(*q.shape[:3], v.shape[3])
        lse = q.new_empty(q.shape[:3], dtype=torch.float32)
        shape, tiles = of_queries(box, TILE, q.device)
        facts = _facts(q, k, v, table, keep, box, scale, shape, tiles)
        if q.numel():
            with torch.cuda.device_of(q):
                _kernels.forward[_grid(shape, q)](q, k, v, out, lse, *facts)
        ctx.save_for_backward(q, k, v, table, keep, out, lse)
        ctx.box, ctx.scale = box, scale
        ctx.set_materialize_grads(False)
        return out, lse

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, grad_lse: Tensor | None) -> tuple[Tensor | None, ...]:
        from regard.softmax import _kernels

        if torch.is_grad_enabled():  # create_graph=True: torch would leave the second derivative out, in silence
            raise CallError("the kernels have no second derivative", hint="impl='composite'")
        q, k, v, table, keep, out, lse = ctx.saved_tensors
        grad = torch.zeros_like(out) if grad is None else grad.contiguous()
        delta = (grad.float() * out.float()).sum(-1)
        delta = delta if grad_lse is None else delta - grad_lse
        made = [torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (q, k, v)]
        given = q, k, v, grad, lse, delta
        for kernel, results, plan, lead in (
            (_kernels.backward_q, made[:1], of_queries(ctx.box, TILE, q.device), q),
            (_kernels.backward_kv, made[1:], of_keys(ctx.box, TILE, q.device), k),
        ):
            shape, tiles = plan
            facts = _facts(q, k, v, table, keep, ctx.box, ctx.scale, shape, tiles)
            if lead.numel():
                with torch.cuda.device_of(q):
                    kernel[_grid(shape, lead)](*given, *results, *facts)
        return *made, None, None, None, None


def _grid(plan: Plan, x: Tensor) -> tuple[int, int]:
    return math.prod(plan[1]), x.shape[0] * x.shape[1]


def _facts(
    q: Tensor, k: Tensor, v: Tensor, table: Tensor | None, keep: Tensor | None, box: Box, scale: float,
    plan: Plan, tiles: Tensor,
) -> tuple[Any, ...]:  # fmt: skip
    """What all kernels are told, after the tensors that are theirs."""
    axes, ends = three(box), _ends(box, q.device)
    sizes = [1, 1, 1] if table is None else [1] * (4 - table.ndim) + [*table.shape[1:]]
    moves = (sizes[1] * sizes[2], sizes[2], 1)
    middle = sum(size // 2 * move for size, move in zip(sizes, moves, strict=True))
    return (
        ends, tiles, q if table is None else table, q if keep is None else keep, q.stride(), k.stride(), v.stride(),
        q.shape[1], q.shape[1] // k.shape[1], (q.shape[3], v.shape[3]), tuple(a.queries for a in axes),
        tuple(a.keys for a in axes), tuple(a.dilation for a in axes), plan[1], ends.shape[2], tiles.shape[1],
        (q.shape[2], k.shape[2]), (*moves, middle, math.prod(sizes)), scale, table is not None, keep is not None,
        plan[0], AT_A_TIME, power(q.shape[3]), power(v.shape[3]),
    )  # fmt: skip


def power(width: int) -> int:
    """The power of two that a row is read as."""
    return max(16, 1 << (width - 1).bit_length())


def three(box: Box) -> Box:
    """The axes of a box as the last of three."""
    return (*(ONE,) * (3 - len(box)), *box)


@functools.lru_cache(maxsize=64)
def _ends(box: Box, device: torch.device) -> Tensor:
    """Starts and ends of the queries' intervals, `[3, 2, longest axis]`."""
    ends = torch.zeros(3, 2, max(axis.queries for axis in box), dtype=torch.int32)
    for a, axis in enumerate(three(box)):
        ends[a, :, : axis.queries] = torch.tensor([axis.lo, axis.hi])
    return ends.to(device)


@functools.lru_cache(maxsize=64)
def of_queries(box: Box, size: int, device: torch.device) -> tuple[Plan, Tensor]:
    """How the queries of a box are cut, so that the least pairs are computed, and what kernels read of each tile.

    Rows of the table, for each axis: residue, first step, steps, first step and steps of the keys, whether all see all.
    """
    each = [{1 << n: _rows(axis, 1 << n) for n in range(size.bit_length())} for axis in three(box)]
    cost = [{n: sum(n * row[4] for row in rows) for n, rows in of.items()} for of in each]
    shapes = [s for s in itertools.product(*each) if math.prod(s) == size]
    best = min(shapes, key=lambda shape: (math.prod(c[n] for c, n in zip(cost, shape, strict=True)), max(shape)))
    chosen = [of[n] for of, n in zip(each, best, strict=True)]
    tiles = torch.zeros(3, max(map(len, chosen)), 6, dtype=torch.int32)
    for a, rows in enumerate(chosen):
        tiles[a, : len(rows)] = torch.tensor(rows)
    return (best, tuple(map(len, chosen))), tiles.to(device)


def of_keys(box: Box, size: int, device: torch.device) -> tuple[Plan, Tensor]:
    """The same of the keys, with the queries that see them."""
    return of_queries(tuple(map(inverse, box)), size, device)


def _rows(axis: Axis, size: int) -> list[tuple[int, ...]]:
    made: list[tuple[int, ...]] = []
    for residue in range(min(axis.dilation, axis.queries)):
        lo, hi = axis.lo[residue :: axis.dilation], axis.hi[residue :: axis.dilation]
        for at in range(0, len(lo), size):
            count = min(size, len(lo) - at)
            last = at + count - 1
            alike = (lo[at], hi[at]) == (lo[last], hi[last])
            made.append((residue, at, count, lo[at], max(0, hi[last] - lo[at]), int(alike)))
    return made


@functools.lru_cache(maxsize=256)
def inverse(axis: Axis) -> Axis:
    """The queries that see each key: an interval, too, for both ends move one way."""
    d, lo, hi = axis.dilation, [0] * axis.keys, [0] * axis.keys
    for r in range(d):
        starts, stops = axis.lo[r::d], axis.hi[r::d]
        first = last = 0
        for step in range(steps(axis.keys, d, r)):
            while first < len(stops) and stops[first] <= step:
                first += 1
            while last < len(starts) and starts[last] <= step:
                last += 1
            lo[r + d * step], hi[r + d * step] = first, max(first, last)
    return Axis(axis.queries, tuple(lo), tuple(hi), d)
