"""`block_mask`: a pattern as torch's FlexAttention wants it, made from intervals instead of from all pairs.

torch's own `create_block_mask` looks at every pair, with 64-bit numbers in between: 2.5 s and 2.5 GB for 112 x 112
tokens. Here each query adds the intervals of keys that it sees to a table of blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TYPE_CHECKING, no_type_check

import torch
from torch import Tensor

from regard.errors import CallError, LayoutError
from regard.patterns._axis import Axis, Box, steps
from regard.patterns._pattern import Pattern

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask


def block_mask(pattern: Pattern, *, size: int = 128, more: int = 0, device: torch.device | str = "cpu") -> BlockMask:
    """The `BlockMask` of a pattern, for `torch.nn.attention.flex_attention`; blocks that need no mask are told apart.

    size: tokens of a block of queries and of keys, in the order of tokens, prefix first; more: so many keys after the
    pattern's own are seen by all. Keep it: it costs one pass over queries times rows of keys. Raises CallError for a
    pattern without intervals, LayoutError for a size below 1.

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
    lengths = pattern.queries.tokens, pattern.keys.tokens + more
    seen = pairs_of_blocks(pattern, size, more)
    rows, columns = (
        torch.full((-(-n // size),), size).index_fill_(0, torch.tensor([(n - 1) // size]), (n - 1) % size + 1)
        for n in lengths
    )
    full = seen == rows[:, None] * columns[None]
    partial = (seen > 0) & ~full
    (count, which), (full_count, full_which) = ([x.to(device) for x in _listed(part)] for part in (partial, full))
    return BlockMask.from_kv_blocks(
        count, which, full_count, full_which, BLOCK_SIZE=(size, size), mask_mod=_allowed(pattern, more, device),
        seq_lengths=lengths,
    )  # fmt: skip


def pairs_of_blocks(pattern: Pattern, size: int, more: int = 0) -> Tensor:
    """How many pairs of tokens are seen in each pair of blocks, `[blocks of queries, blocks of keys]`, exactly."""
    first, before = pattern.queries.prefix, pattern.keys.prefix
    blocks = [-(-n // size) for n in (pattern.queries.tokens, pattern.keys.tokens + more)]
    table = torch.zeros(blocks[0], blocks[1] + 1, dtype=torch.long)  # one more, where what is past the end is put
    change = torch.zeros_like(table)  # of whole blocks inside an interval
    prefix = torch.arange(first)
    _add(table, change, prefix, torch.zeros_like(prefix), torch.full_like(prefix, pattern.keys.tokens), size)
    body = torch.arange(first, pattern.queries.tokens)
    _add(table, change, body, torch.zeros_like(body), torch.full_like(body, before), size)
    every, end = torch.arange(pattern.queries.tokens), pattern.keys.tokens
    _add(table, change, every, torch.full_like(every, end), torch.full_like(every, end + more), size)
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
    for ahead in itertools.product(*map(range, widest)):
        number, there = torch.zeros_like(places[0]), torch.ones_like(places[0], dtype=torch.bool)
        for step, axis, (lo, hi, i), length in zip(ahead, axes, ends, lengths, strict=False):
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


def _allowed(pattern: Pattern, more: int, device: torch.device | str) -> Callable[..., Tensor]:
    """The mask of single pairs as tables that are looked up, so that torch compiles one function for all patterns.

    On each axis of each box a key has a number, its residue times more than there are steps, and its step; a query
    sees an interval of these.
    """
    first, before = pattern.queries.prefix, pattern.keys.prefix
    boxes = pattern.boxes or ()
    query, key = (space.places(torch.arange(space.body)) for space in (pattern.queries, pattern.keys))
    shape = (len(boxes), len(query))
    lo, hi = (torch.zeros(*shape, pattern.queries.tokens, dtype=torch.int32) for _ in range(2))
    number = torch.zeros(*shape, pattern.keys.tokens + more, dtype=torch.int32)
    for b, box in enumerate(boxes):
        for a, (axis, i, j) in enumerate(zip(box, query, key, strict=True)):
            d, apart = axis.dilation, steps(axis.keys, axis.dilation, 0) + 1
            lo[b, a, first:] = (torch.tensor(axis.lo)[i] + i % d * apart).int()
            hi[b, a, first:] = (torch.tensor(axis.hi)[i] + i % d * apart).int()
            number[b, a, before : before + pattern.keys.body] = (j % d * apart + j // d).int()
    free_query = torch.arange(pattern.queries.tokens) < first
    at = torch.arange(pattern.keys.tokens + more)
    free_key = (at < before) | (at >= pattern.keys.tokens)
    lo, hi, number, free_query, free_key = (x.to(device) for x in (lo, hi, number, free_query, free_key))

    @no_type_check  # torch counts the arguments of this very function
    def seen(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        allowed = free_query[query] | free_key[key]
        for b in range(shape[0]):
            inside = (lo[b, 0, query] <= number[b, 0, key]) & (number[b, 0, key] < hi[b, 0, query])
            for a in range(1, shape[1]):
                inside = inside & (lo[b, a, query] <= number[b, a, key]) & (number[b, a, key] < hi[b, a, query])
            allowed = allowed | inside
        return allowed

    return seen
