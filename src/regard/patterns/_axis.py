"""`Axis`: intervals of keys on one axis, and the algebra of boxes made of them.

Query i lies at step i // d of the residue i mod d (d: dilation) and sees the keys of its own residue at steps
lo[i] .. hi[i] - 1. Both ends never fall as the step grows: so a tile of queries sees a span of keys, and no list of
pairs is ever needed. A box is an axis for each axis of the space; a query sees the product of its intervals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor


@dataclass(frozen=True)
class Axis:
    """Intervals `lo[i] .. hi[i] - 1` of keys for each of `len(lo)` queries, in steps of a residue modulo `dilation`."""

    keys: int
    lo: tuple[int, ...]
    hi: tuple[int, ...]
    dilation: int = 1

    def __post_init__(self) -> None:
        d = self.dilation
        assert len(self.lo) == len(self.hi)
        assert all(
            0 <= a <= b <= steps(self.keys, d, i % d) for i, (a, b) in enumerate(zip(self.lo, self.hi, strict=True))
        )
        for ends in (self.lo, self.hi):
            assert all(ends[i] <= ends[i + d] for i in range(len(ends) - d)), "intervals move one way"

    @property
    def queries(self) -> int:
        return len(self.lo)

    @property
    def pairs(self) -> int:
        """Pairs of a query and a key that it sees."""
        return sum(self.hi) - sum(self.lo)

    def support(self) -> Tensor:
        """Which key each query sees, bool `[queries, keys]`."""
        i, j = torch.arange(self.queries)[:, None], torch.arange(self.keys)[None]
        step = torch.div(j, self.dilation, rounding_mode="floor")
        lo, hi = torch.tensor(self.lo)[:, None], torch.tensor(self.hi)[:, None]
        return ((i - j) % self.dilation == 0) & (lo <= step) & (step < hi)

    @cached_property
    def classes(self) -> tuple[range, ...]:
        """Runs of residues whose intervals are the same: each run is computed in one piece."""
        d, runs, before = self.dilation, [], None
        for r in range(d):
            same = (self.lo[r::d], self.hi[r::d], steps(self.keys, d, r))
            if same == before:
                runs[-1] = range(runs[-1].start, r + 1)
            else:
                runs.append(range(r, r + 1))
            before = same
        return tuple(runs)

    def at_dilation(self, dilation: int) -> Axis:
        """What is left of these intervals (of dilation 1) among the keys of each query's own residue."""
        if dilation == self.dilation:
            return self
        assert self.dilation == 1
        residue = [i % dilation for i in range(self.queries)]
        lo = [max(0, -((r - a) // dilation)) for a, r in zip(self.lo, residue, strict=True)]
        hi = [max(0, -((r - b) // dilation)) for b, r in zip(self.hi, residue, strict=True)]
        return Axis(self.keys, tuple(lo), tuple(max(a, b) for a, b in zip(lo, hi, strict=True)), dilation)


Box = tuple[Axis, ...]


def steps(length: int, dilation: int, residue: int) -> int:
    """How many of 0 .. length - 1 have this residue."""
    return max(0, -((residue - length) // dilation))


def pairs(box: Box) -> int:
    """Pairs of tokens in a box."""
    return math.prod(axis.pairs for axis in box)


def meet(one: Box, other: Box) -> Box | None:
    """The pairs in both; None where dilations differ so that no intervals say it."""
    made = []
    for a, b in zip(one, other, strict=True):
        d = max(a.dilation, b.dilation)
        if {a.dilation, b.dilation} - {1, d}:
            return None
        a, b = a.at_dilation(d), b.at_dilation(d)
        lo = tuple(map(max, a.lo, b.lo))
        made.append(Axis(a.keys, lo, tuple(map(max, lo, map(min, a.hi, b.hi))), d))
    return tuple(made)


def minus(one: Box, other: Box) -> list[Box] | None:
    """The pairs of `one` that are not in `other`, as boxes without overlap; None where dilations differ.

    Axis by axis: what lies below the other's interval, what lies above it, and within it the next axis.
    """
    if any(a.dilation != b.dilation for a, b in zip(one, other, strict=True)):
        return None
    left, within = [], list(one)
    for at, (a, b) in enumerate(zip(one, other, strict=True)):
        below = replace(a, hi=tuple(map(max, a.lo, map(min, a.hi, b.lo))))
        above = replace(a, lo=tuple(map(min, a.hi, map(max, a.lo, b.hi))))
        left += [(*within[:at], part, *within[at + 1 :]) for part in (below, above)]
        within[at] = replace(a, lo=below.hi, hi=above.lo)
    return [box for box in left if pairs(box)]
