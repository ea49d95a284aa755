"""`Chunk` and `Columns`: the part of a box that is computed at a time, in memory that is used again."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.core.call import Workspace
from regard.softmax._geometry import Geometry, residues, spread
from regard.softmax._problem import Problem

BYTES = 8 << 20  # strips of keys and values that are held at a time: they should stay in a cache


class _Memory(threading.local):
    """Buffers of this thread, which live as long as it does: a few times BYTES."""

    def __init__(self) -> None:
        self.workspace = Workspace()


_memory = _Memory()


@dataclass(frozen=True)
class Chunk:
    """Some rows (pictures times heads) of some residues, as `[M, m0, m1, m2, D]`, and how they are cut."""

    problem: Problem
    geometry: Geometry
    chosen: tuple[range, ...]
    rows: range

    def view(self, whole: Tensor) -> Tensor:
        """The chunk's place in a tensor of all rows: `[rows, r0, r1, r2, m0, m1, m2, D]`."""
        return self._residues(whole[self.rows.start : self.rows.stop])

    def take(self, whole: Tensor, keys: bool = False) -> Tensor:
        """The chunk of a tensor; of keys that heads share, a copy for each head. Copied only where it must be."""
        view = self._residues(whole[self._owners]) if keys and self.problem.groups > 1 else self.view(whole)
        return view.reshape(-1, *view.shape[4:])

    def room(self, whole: Tensor, keys: bool) -> Tensor:
        """Where to add a gradient up: the chunk's own place, or zeros where a view will not do."""
        taken = self.take(whole, keys)
        return taken if _shares(taken, whole) else torch.zeros(taken.shape, dtype=taken.dtype)

    def add(self, whole: Tensor, part: Tensor, keys: bool) -> None:
        """Add a chunk to its place, unless it lies there already."""
        if _shares(part, whole):
            return
        if keys and self.problem.groups > 1:
            view = self._residues(whole)
            view.index_add_(0, self._owners, part.view(len(self.rows), *view.shape[1:]))
        else:
            view = self.view(whole)
            view += part.view(view.shape)

    def put(self, whole: Tensor, part: Tensor) -> None:
        """Write a chunk of queries to its place, unless it lies there already."""
        if not _shares(part, whole):
            view = self.view(whole)
            view.copy_(part.view(view.shape))

    def columns(self, k: Tensor) -> Iterator[Columns]:
        """Tiles of axis 1, so many at a time that their strips stay small."""
        count, across = self.geometry.across
        each = 2 * len(k) * across * k.shape[1] * self.geometry.strip * k.shape[-1] * k.element_size()
        step = max(1, BYTES // each)
        for start in range(0, count, step):
            yield Columns(self, slice(start, min(start + step, count)))

    @property
    def _owners(self) -> Tensor:
        return torch.arange(self.rows.start, self.rows.stop) // self.problem.groups

    def _residues(self, x: Tensor) -> Tensor:
        return residues(x, self.chosen, [cut.dilation for cut in self.geometry.cuts])


def _shares(one: Tensor, other: Tensor) -> bool:
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


@dataclass(frozen=True)
class Columns:
    """Some tiles of axis 1, with all of axes 0 and 2."""

    chunk: Chunk
    which: slice

    @property
    def tiles(self) -> tuple[int, int]:
        """How many, on axes 1 and 2."""
        return self.which.stop - self.which.start, self.chunk.geometry.across[1]

    def lend(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """Memory of this thread, used again by the next that asks by this name."""
        return _memory.workspace.lend(name, shape, like)

    def empty_strips(self, name: str, x: Tensor) -> Tensor:
        """Room for the strips of x `[M, n0, n1, n2, D]`: `[M, tiles of axis 1, of axis 2, n0, span 1, span 2, D]`."""
        _, one, two = self.chunk.geometry.cuts
        return self.lend(name, (len(x), *self.tiles, x.shape[1], one.span[0], two.span[0], x.shape[4]), x)

    def strips(self, name: str, x: Tensor) -> Tensor:
        """Keys (or values) of each tile's span: `[M, tiles, n0 * span 1 * span 2, D]`."""
        _, one, two = self.chunk.geometry.cuts
        if math.prod(self.tiles) == 1 and (one.span[0], two.span[0]) == tuple(x.shape[2:4]):
            return x.reshape(len(x), 1, -1, x.shape[4])
        made = self.empty_strips(name, x)
        for view, part in spread(x, made, self._spans, apart=False):
            part.copy_(view)
        return made.view(len(x), math.prod(self.tiles), -1, x.shape[4])

    def fold(self, strips: Tensor, whole: Tensor) -> None:
        """Add strips to the keys that they were copied from; spans overlap, so it is done a tile at a time."""
        (starts1, span1), (starts2, span2) = self._spans
        for a, at1 in enumerate(starts1):
            for b, at2 in enumerate(starts2):
                whole[:, :, at1 : at1 + span1, at2 : at2 + span2] += strips[:, a, b]

    def tile(self, name: str, x: Tensor, row: int) -> Tensor:
        """Queries of tile row `row`: `[M, tiles of axis 1, of axis 2, t0, t1, t2, D]`."""
        cuts = self.chunk.geometry.cuts
        made = self.lend(name, (len(x), *self.tiles, *(cut.tile for cut in cuts), x.shape[4]), x)
        for view, part in spread(self._row(x, row), made, self._queries, apart=True):
            part.copy_(view)
        return made

    def put(self, made: Tensor, x: Tensor, row: int, *, add: bool = False) -> None:
        """Write (or add) `[M, tiles, T, D]` to the places of the queries."""
        cuts = self.chunk.geometry.cuts
        tiled = made.unflatten(2, [cut.tile for cut in cuts]).unflatten(1, self.tiles)
        for view, part in spread(self._row(x, row), tiled, self._queries, apart=True):
            if add:
                view += part
            else:
                view.copy_(part)

    def clear_again(self, tile: Tensor, row: int) -> None:
        """Zero, in a tile, the queries that another tile holds, too."""
        zero, one, two = self.chunk.geometry.cuts
        if row == len(zero.first) - 1:
            tile[:, :, :, : zero.again] = 0
        if self.which.stop == len(one.first):
            tile[:, -1, :, :, : one.again] = 0
        tile[:, :, -1, :, :, : two.again] = 0

    def keys(self, row: int) -> slice:
        """Where in a strip the keys of a tile row lie."""
        cut, width = self.chunk.geometry.cuts[0], self.chunk.geometry.strip
        return slice(cut.start[row] * width, (cut.start[row] + cut.span[row]) * width)

    def added(
        self, row: int, like: Tensor, keep: Tensor | None, biases: dict[object, Tensor]
    ) -> tuple[Tensor | None, Tensor | None]:
        """What is added to the logits of a tile row, `[M or 1, tiles, T, K]`, and which queries see nothing."""
        geometry = self.chunk.geometry
        mask, blind = (None if x is None else x[self.which].flatten(0, 1)[None] for x in geometry.mask(row, like))
        if self.chunk.problem.table is not None:
            kind = geometry.kind(row), geometry.cuts[0].start[row] - geometry.cuts[0].first[row], self.which.start
            if kind not in biases:
                biases[kind] = self._bias(row, len(like))
            mask = biases[kind] if mask is None else mask + biases[kind]
        if keep is not None:
            kept = keep[:, :, self.keys(row), 0].unsqueeze(2)
            mask = kept.expand(-1, -1, geometry.tokens, -1) if mask is None else mask + kept
            blind = mask.amax(-1) == float("-inf")
        return mask, blind

    def _bias(self, row: int, rows: int) -> Tensor:
        problem = self.chunk.problem
        assert problem.table is not None
        sizes = problem.table.shape[1:]
        in_strips = len(sizes) == 1 and self.chunk.geometry.cuts[0].keys == 1  # one axis, laid along axis 1
        at = self.chunk.geometry.offsets(row, (1, *sizes, 1) if in_strips else (*sizes, 1, 1)[:3])[self.which].flatten(
            0, 1
        )
        heads = torch.arange(self.chunk.rows.start, self.chunk.rows.stop) % problem.q.shape[1]
        values = problem.table.flatten(1)[:, at][heads]
        return values.repeat_interleave(rows // len(values), 0)

    def _row(self, x: Tensor, row: int) -> Tensor:
        cut = self.chunk.geometry.cuts[0]
        return x[:, cut.first[row] : cut.first[row] + cut.tile]

    @property
    def _queries(self) -> list[tuple[tuple[int, ...], int]]:
        _, one, two = self.chunk.geometry.cuts
        return [(one.first[self.which], one.tile), (two.first, two.tile)]

    @property
    def _spans(self) -> list[tuple[tuple[int, ...], int]]:
        _, one, two = self.chunk.geometry.cuts
        return [(one.start[self.which], one.span[0]), (two.start, two.span[0])]
