"""`tiled`: patterns with intervals, a tile of queries at a time. Forward and backward hold nothing of queries x keys.

See `_geometry` for how a box is cut. Keys of a tile row are a slice of strips, which are copied into memory that is
used again: fresh pages for each call cost more than the arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.errors import CallError
from regard.patterns._axis import Box
from regard.softmax._chunks import Chunk
from regard.softmax._geometry import geometries, three
from regard.softmax._pieces import Block, Grads, Piece, attend_pieces, kernel, kernel_backward
from regard.softmax._problem import Problem

TILES = 48  # tiles that one op should have, so that its own cost does not show


def tiled(problem: Problem) -> tuple[Tensor, Tensor]:
    """Attention under a pattern with intervals; prefix tokens are pieces of their own.

    Raises CallError for patterns without intervals, a bias of single pairs, a bias table that needs a gradient, and
    devices other than CPUs.
    """
    return attend_pieces(problem, pieces_of(problem))


def pieces_of(problem: Problem) -> list[Piece]:
    """Boxes, the body's attention to prefix keys, and that of prefix queries to all."""
    p, pattern = problem, problem.pattern
    if pattern.boxes is None:
        raise CallError(f"{pattern} has no intervals to make tiles of", hint="impl='dense'")
    if p.bias is not None:
        hint = "a RelativeTable or LowRank bias, or impl='dense'"
        raise CallError("a bias of single pairs is as large as what tiles avoid", hint=hint)
    first, before = pattern.queries.prefix, pattern.keys.prefix
    pieces: list[Piece] = [Boxes(p, box) for box in pattern.boxes]
    if before:
        pieces.append(Block(slice(first, None), slice(0, before), p.scale, _padding(p, slice(0, before))))
    if first:
        pieces.append(Block(slice(0, first), slice(None), p.scale, _padding(p, slice(None))))
    return pieces


def _padding(p: Problem, keys: slice) -> Callable[[], Tensor] | None:
    keep = p.keep
    return None if keep is None else lambda: _forbidden(keep[:, None, None, keys], p.q)


def _forbidden(keep: Tensor, like: Tensor) -> Tensor:
    return torch.zeros(keep.shape, dtype=like.dtype).masked_fill_(~keep, float("-inf"))


@dataclass(frozen=True)
class Boxes:
    """The queries of the body, and of its keys those in a box."""

    problem: Problem
    box: Box

    @property
    def queries(self) -> slice:
        return slice(self.problem.pattern.queries.prefix, None)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Output and log sum exp of the body's queries."""
        body = q[:, :, self.queries]
        out = torch.zeros(body.shape, dtype=q.dtype)
        lse = torch.full((*body.shape[:3], 1), float("-inf"), dtype=torch.promote_types(q.dtype, torch.float32))
        of_queries, of_keys = self._laid_out([body, out, lse], [k, v, *self._keep(q)])
        for chunk in self._chunks(q):
            taken, *made = map(chunk.take, of_queries)
            _forward(chunk, taken, self._keys(chunk, of_keys), made)
            for whole, part in zip(of_queries[1:], made, strict=True):
                chunk.put(whole, part)
        return out, lse[..., 0]

    def backward(self, saved: Sequence[Tensor], grad: Tensor, into: Grads) -> None:
        """Add the box's share of the gradients."""
        q, k, v, out, lse = saved
        of_queries, of_keys = self._laid_out([q[:, :, self.queries], out, lse[..., None], grad], [k, v, *self._keep(q)])
        (d_queries,), d_keys = self._laid_out([into[0][:, :, self.queries]], list(into[1:]))
        for chunk in self._chunks(q):
            queries, keys = [*map(chunk.take, of_queries)], self._keys(chunk, of_keys)
            made = [chunk.room(whole, keys=at > 0) for at, whole in enumerate((d_queries, *d_keys))]
            _backward(chunk, queries, keys, made)
            for at, (whole, part) in enumerate(zip((d_queries, *d_keys), made, strict=True)):
                chunk.add(whole, part, keys=at > 0)

    def _keep(self, q: Tensor) -> list[Tensor]:
        """The padding of the keys as a number for each head."""
        keep = self.problem.keep
        return [] if keep is None else [_forbidden(keep, q)[:, None, :, None].expand(-1, q.shape[1], -1, -1)]

    def _keys(self, chunk: Chunk, of_keys: list[Tensor]) -> list[Tensor]:
        return [chunk.take(x, keys=at < 2) for at, x in enumerate(of_keys)]  # padding has all heads already

    def _laid_out(self, queries: list[Tensor], keys: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Bodies of queries, and keys, on three axes: `[B * H, n0, n1, n2, D]`."""
        prefix, axes = self.problem.pattern.keys.prefix, three(self.box)
        across = [[a.queries for a in axes], [a.keys for a in axes]]
        return (
            [x.flatten(0, 1).unflatten(1, across[0]) for x in queries],
            [x[:, :, prefix:].flatten(0, 1).unflatten(1, across[1]) for x in keys],
        )

    def _chunks(self, q: Tensor) -> Iterator[Chunk]:
        """So many pictures and heads at a time that an op has enough tiles."""
        lead = q.shape[0] * q.shape[1]
        for chosen, geometry in geometries(self.box, lead):
            size = -(-TILES // (math.prod(map(len, chosen)) * math.prod(geometry.across)))
            for start in range(0, lead, size):
                yield Chunk(self.problem, geometry, chosen, range(start, min(start + size, lead)))


def _forward(chunk: Chunk, q: Tensor, keys: list[Tensor], made: list[Tensor]) -> None:
    """Write output and log sum exp; keys: k, v and, if there is one, the padding."""
    scale, biases = chunk.problem.scale, dict[object, Tensor]()
    for columns in chunk.columns(keys[0]):
        k, v, *keep = (columns.strips(name, x) for name, x in zip(("k", "v", "keep"), keys, strict=False))
        for row, span in enumerate(chunk.geometry.cuts[0].span):
            if span:
                here = columns.keys(row)
                added, blind = columns.added(row, q, keep[0] if keep else None, biases)
                out, lse = kernel(_flat(columns.tile("q", q, row)), k[:, :, here], v[:, :, here], added, scale)
                if blind is not None:  # the kernel says 0 for a query without keys
                    lse.masked_fill_(blind, float("-inf"))
                columns.put(out, made[0], row)
                columns.put(lse[..., None], made[1], row)


def _backward(chunk: Chunk, queries: list[Tensor], keys: list[Tensor], made: list[Tensor]) -> None:
    """Add the gradients of q, k and v; queries: q, the merged output, its log sum exp, and the output's gradient."""
    scale, biases = chunk.problem.scale, dict[object, Tensor]()
    q = queries[0]
    for columns in chunk.columns(keys[0]):
        k, v, *keep = (columns.strips(name, x) for name, x in zip(("k", "v", "keep"), keys, strict=False))
        totals = [columns.empty_strips(name, x).zero_() for name, x in (("dk", keys[0]), ("dv", keys[1]))]
        flat = [total.flatten(3, 5).flatten(1, 2) for total in totals]
        for row, span in enumerate(chunk.geometry.cuts[0].span):
            if span:
                here = columns.keys(row)
                added, _ = columns.added(row, q, keep[0] if keep else None, biases)
                names = ("q", "out", "lse", "grad")
                tiles = [columns.tile(name, x, row) for name, x in zip(names, queries, strict=True)]
                columns.clear_again(tiles[3], row)
                q_tile, out, lse, grad = map(_flat, tiles)
                parts = kernel_backward(
                    grad, (q_tile, k[:, :, here], v[:, :, here]), out, lse[..., 0].contiguous(), added, scale
                )
                columns.put(parts[0], made[0], row, add=True)
                for total, part in zip(flat, parts[1:], strict=True):
                    total[:, :, here] += part
        for total, whole in zip(totals, made[1:], strict=True):
            columns.fold(total, whole)


def _flat(tile: Tensor) -> Tensor:
    """`[M, tiles, T, D]`."""
    return tile.flatten(3, 5).flatten(1, 2)
