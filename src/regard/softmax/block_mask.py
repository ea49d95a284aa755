"""`block_mask`: a pattern as torch's FlexAttention wants it, made from intervals instead of from all pairs.

torch's own `create_block_mask` looks at every pair, with 64-bit numbers in between: 2.5 s and 2.5 GB for 112 x 112
tokens. Here each query adds the intervals of keys that it sees to a table of blocks.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from regard.errors import CallError, LayoutError
from regard.patterns._axis import Axis, Box
from regard.patterns._pattern import Pattern

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask


def block_mask(pattern: Pattern, *, size: int = 128, device: torch.device | str = "cpu") -> BlockMask:
    """The `BlockMask` of a pattern, for `torch.nn.attention.flex_attention`; blocks that need no mask are told apart.

    size: tokens of a block of queries and of keys, in the order of tokens, prefix first. Keep it: it costs one pass
    over queries times rows of keys. Raises CallError for a pattern without intervals, LayoutError for a size below 1.

    >>> import regard as rg
    >>> from regard.softmax import block_mask
    >>> block_mask(rg.patterns.window(512, 128)).sparsity()
    75.0
    """
    from torch.nn.attention.flex_attention import BlockMask

    if pattern.boxes is None:
        raise CallError(f"{pattern} has no intervals", hint="torch's create_block_mask, with pattern.rule")
    if size < 1:
        raise LayoutError(f"blocks of {size} tokens", hint="128")
    seen = pairs_of_blocks(pattern, size)
    rows, columns = (
        torch.full((-(-n // size),), size).index_fill_(0, torch.tensor([(n - 1) // size]), (n - 1) % size + 1)
        for n in (pattern.queries.tokens, pattern.keys.tokens)
    )
    full = seen == rows[:, None] * columns[None]
    partial = (seen > 0) & ~full
    (count, which), (full_count, full_which) = ([x.to(device) for x in _listed(part)] for part in (partial, full))
    return BlockMask.from_kv_blocks(
        count, which, full_count, full_which, BLOCK_SIZE=(size, size), mask_mod=_Allowed(pattern, device),
        seq_lengths=(pattern.queries.tokens, pattern.keys.tokens),
    )  # fmt: skip


def pairs_of_blocks(pattern: Pattern, size: int) -> Tensor:
    """How many pairs of tokens are seen in each pair of blocks, `[blocks of queries, blocks of keys]`, exactly."""
    first, before = pattern.queries.prefix, pattern.keys.prefix
    blocks = [-(-n // size) for n in (pattern.queries.tokens, pattern.keys.tokens)]
    table = torch.zeros(blocks[0], blocks[1] + 1, dtype=torch.long)  # one more, where what is past the end is put
    change = torch.zeros_like(table)  # of whole blocks inside an interval
    prefix = torch.arange(first)
    _add(table, change, prefix, torch.zeros_like(prefix), torch.full_like(prefix, pattern.keys.tokens), size)
    body = torch.arange(first, pattern.queries.tokens)
    _add(table, change, body, torch.zeros_like(body), torch.full_like(body, before), size)
    places = pattern.queries.places(body - first)
    for box in pattern.boxes or ():
        for start, stop in _intervals(box, places, pattern.keys.axes):
            _add(table, change, body, start + before, stop + before, size)
    return (table + change.cumsum(1))[:, :-1]


def _intervals(box: Box, places: list[Tensor], lengths: tuple[int, ...]) -> list[tuple[Tensor, Tensor]]:
    """Runs of neighbouring keys that each query sees: a run for each row of keys; empty ones at equal ends."""
    ends = [(torch.tensor(a.lo)[i], torch.tensor(a.hi)[i], i) for a, i in zip(box, places, strict=True)]
    *outer, last = box
    spread = last.dilation > 1  # then its keys are no neighbours, and each is a run
    axes = box if spread else outer
    widest = [int((hi - lo).max()) for lo, hi, _ in ends[: len(axes)]]
    made = []
    for steps in itertools.product(*map(range, widest)):
        number, there = torch.zeros_like(places[0]), torch.ones_like(places[0], dtype=torch.bool)
        for step, axis, (lo, hi, i), length in zip(steps, axes, ends, lengths, strict=False):
            there &= lo + step < hi
            number = number * length + _key(axis, i, lo + step)
        if spread:
            made.append((number, number + there))
        else:
            lo, hi, _ = ends[-1]
            start = number * lengths[-1] + lo
            made.append((start, start + (hi - lo) * there))
    return made


def _key(axis: Axis, query: Tensor, step: Tensor) -> Tensor:
    return query % axis.dilation + step * axis.dilation


def _add(table: Tensor, change: Tensor, query: Tensor, start: Tensor, stop: Tensor, size: int) -> None:
    """Add the keys start .. stop - 1 of each query to the blocks that they lie in."""
    inside = stop > start
    row, start, stop = query[inside] // size, start[inside], stop[inside]
    first, last = start // size, (stop - 1) // size
    alone = first == last
    table.index_put_((row, first), torch.where(alone, stop - start, (first + 1) * size - start), accumulate=True)
    table.index_put_((row, last), torch.where(alone, torch.zeros_like(stop), stop - last * size), accumulate=True)
    whole = torch.where(alone, torch.zeros_like(stop), torch.full_like(stop, size))
    change.index_put_((row, first + 1), whole, accumulate=True)
    change.index_put_((row, last), -whole, accumulate=True)


def _listed(chosen: Tensor) -> tuple[Tensor, Tensor]:
    """How many blocks each row has, and their numbers first in it: `[1, 1, rows]` and `[1, 1, rows, columns]`."""
    order = chosen.to(torch.int8).argsort(dim=1, descending=True, stable=True)
    return chosen.sum(1).to(torch.int32)[None, None], order.to(torch.int32)[None, None]


class _Allowed:
    """The mask of single pairs, from the intervals, in ops that torch can compile."""

    def __init__(self, pattern: Pattern, device: torch.device | str) -> None:
        self._pattern = pattern
        self._ends = [
            [(torch.tensor(a.lo, device=device), torch.tensor(a.hi, device=device), a.dilation) for a in box]
            for box in pattern.boxes or ()
        ]

    def __call__(self, batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        i, j = query - self._pattern.queries.prefix, key - self._pattern.keys.prefix
        seen = (i < 0) | (j < 0)
        rows, columns = (s.places(x.clamp_min(0)) for s, x in ((self._pattern.queries, i), (self._pattern.keys, j)))
        for ends in self._ends:
            inside = i == i
            for (lo, hi, dilation), row, column in zip(ends, rows, columns, strict=True):
                step = torch.div(column, dilation, rounding_mode="floor")
                inside = inside & (lo[row] <= step) & (step < hi[row]) & ((row - column) % dilation == 0)
            seen = seen | inside
        return seen
