"""`native`: patterns with intervals in C++, which this machine's compiler builds at first use.

See `native.cpp` for the algorithm and `_compiled` for the build. Pieces and their merge are those of `tiled`.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import CallError
from regard.patterns._axis import Axis, Box
from regard.softmax import tiled
from regard.softmax._compiled import library
from regard.softmax._pieces import Grads, Piece, attend_pieces
from regard.softmax._problem import Problem

LANES = 8  # of which the width of heads is a multiple
ROOM = 2048  # logits of a query that are held at a time
ONE = Axis(1, (0,), (1,))


def native(problem: Problem) -> tuple[Tensor, Tensor]:
    """Attention under a pattern with intervals, in float32; prefix tokens are pieces of their own.

    Raises CallError where no C++ compiler is found, for other types than float32, patterns without intervals, a bias
    of single pairs, a bias table that needs a gradient, and devices other than CPUs.
    """
    return attend_pieces(problem, pieces_of(problem))


def pieces_of(problem: Problem) -> list[Piece]:
    """As `tiled` has them, its boxes by the compiled kernel."""
    if problem.q.dtype != torch.float32:
        raise CallError(f"impl='native' is for float32, q is {problem.q.dtype}", hint="q.float(), or impl='tiled'")
    library()
    pieces = tiled.pieces_of(problem)
    return [NativeBox(problem, one.box) if isinstance(one, tiled.Boxes) else one for one in pieces]


class _View(ctypes.Structure):
    _fields_ = [("at", ctypes.c_void_p), *((name, ctypes.c_int64) for name in ("b", "h", "n"))]


class _Axis(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int64) for name in ("queries", "keys", "dilation", "query_step", "key_step", "size")),
        ("table_step", ctypes.c_int64), ("lo", ctypes.c_void_p), ("hi", ctypes.c_void_p),
    ]  # fmt: skip


class _Job(ctypes.Structure):
    _fields_ = [
        *((name, _View) for name in ("q", "k", "v", "out", "lse", "grad", "dq", "dk", "dv", "keep")),
        ("axes", _Axis * 3), ("table", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("table_head", "batch", "heads", "groups", "dim")),
        *((name, ctypes.c_int64) for name in ("room", "threads", "backward")),
        ("scale", ctypes.c_float),
    ]  # fmt: skip


@dataclass(frozen=True)
class NativeBox:
    """The queries of the body, and of its keys those in a box."""

    problem: Problem
    box: Box

    @property
    def queries(self) -> slice:
        return slice(self.problem.pattern.queries.prefix, None)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Output and log sum exp of the body's queries."""
        body = _rows(q[:, :, self.queries])
        out = torch.empty(body.shape, dtype=q.dtype)
        lse = torch.empty(body.shape[:3], dtype=q.dtype)
        self._run({"q": body, "k": self._keys(k), "v": self._keys(v), "out": out, "lse": lse}, backward=False)
        return out[..., : q.shape[-1]], lse

    def backward(self, saved: Sequence[Tensor], grad: Tensor, into: Grads) -> None:
        """Add the box's share of the gradients."""
        q, k, v, out, lse = saved
        body = q[:, :, self.queries]
        places = [into[0][:, :, self.queries], *(x[:, :, self.problem.pattern.keys.prefix :] for x in into[1:])]
        wide = [_rows(x) for x in places]  # of a width that the kernel takes: the places themselves, or copies
        given = {"q": body, "out": out, "grad": grad}
        given = {name: _rows(x) for name, x in given.items()} | {"k": self._keys(k), "v": self._keys(v)}
        self._run(given | {"lse": lse} | dict(zip(("dq", "dk", "dv"), wide, strict=True)), backward=True)
        for place, made in zip(places, wide, strict=True):
            if made.data_ptr() != place.data_ptr():
                place.copy_(made[..., : place.shape[-1]])

    def _keys(self, x: Tensor) -> Tensor:
        return _rows(x[:, :, self.problem.pattern.keys.prefix :])

    def _run(self, tensors: dict[str, Tensor], *, backward: bool) -> None:
        p, k = self.problem, tensors["k"]
        if p.keep is not None:
            keep = p.keep[:, None, p.pattern.keys.prefix :]
            tensors["keep"] = torch.zeros(keep.shape).masked_fill_(~keep, float("-inf"))
        job = _Job(**{name: _View(x.data_ptr(), *x.stride()[:3]) for name, x in tensors.items()})
        table = None if p.table is None else p.table.contiguous()
        job.axes, kept = _axes(self.box, None if table is None else tuple(table.shape[1:]))
        if table is not None:
            job.table, job.table_head = table.data_ptr(), table.stride(0)
        job.batch, job.heads, job.groups, job.dim = *k.shape[:2], tensors["q"].shape[1] // k.shape[1], k.shape[-1]
        job.room, job.threads, job.backward, job.scale = ROOM, torch.get_num_threads(), backward, p.scale
        library().regard_attend(ctypes.byref(job))
        del kept  # memory that the job points to


def _rows(x: Tensor) -> Tensor:
    """Numbers of a token in one piece, a multiple of LANES."""
    if missing := -x.shape[-1] % LANES:
        return F.pad(x, (0, missing))
    return x if x.stride(-1) == 1 else x.contiguous()


@functools.lru_cache(maxsize=64)
def _axes(box: Box, sizes: tuple[int, ...] | None) -> tuple[ctypes.Array[_Axis], list[Tensor]]:
    """Three axes, and the memory that they point to; sizes: of the bias table.

    The axis of the longest intervals is the last one, for its keys lie side by side in vectors.
    """
    made, kept = list[tuple[float, _Axis]](), list[Tensor]()
    query_step = key_step = table_step = 1
    three = (*(ONE,) * (3 - len(box)), *box)
    for axis, size in reversed(list(zip(three, (1,) * (3 - len(box)) + (sizes or (1,) * len(box)), strict=True))):
        ends = [torch.tensor(x) for x in (axis.lo, axis.hi)]
        places = [x.data_ptr() for x in ends]
        it = _Axis(axis.queries, axis.keys, axis.dilation, query_step, key_step, size, table_step, *places)
        made.append((axis.pairs / axis.queries, it))
        kept += ends
        query_step, key_step, table_step = query_step * axis.queries, key_step * axis.keys, table_step * size
    made.sort(key=lambda one: -one[0])  # of equal ones the last axis of the picture stays first
    return (_Axis * 3)(*(it for _, it in reversed(made))), kept
