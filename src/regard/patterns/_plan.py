"""`Plan`: what a pattern costs before anything is run.

A kernel takes queries and keys in tiles on a grid of tiles, and has to visit each pair of tiles in which one query
may see one key. So a speed-up over dense attention is bounded by tiles over visited tiles, not by pairs over pairs.
Pairs of tiles that are not wholly allowed need a mask besides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError

if TYPE_CHECKING:
    from regard.patterns._axis import Box
    from regard.patterns._pattern import Pattern
    from regard.patterns._space import Space

DEFAULT_TILES = {1: (32,), 2: (4, 8), 3: (2, 4, 4)}  # 32 tokens near each other: measured best on a CPU


@dataclass(frozen=True)
class Plan:
    """Costs of one pass of attention forward; flops count a multiplication and an addition as two.

    pairs, dense_pairs: of a query and a key, of one head; flops: of the pairs that are seen; bytes: one reading of
    q, k, v and one writing of the output; tiles: pairs of tiles that have to be visited, of `dense_tiles`; partial:
    those that need a mask; bound: the largest speed-up over dense attention with these tiles.
    """

    pairs: int
    dense_pairs: int
    flops: int
    dense_flops: int
    bytes: int
    tiles: int
    dense_tiles: int
    partial: int
    tile: tuple[int, ...]
    key_tile: tuple[int, ...]

    @property
    def bound(self) -> float:
        return self.dense_tiles / max(1, self.tiles)

    @property
    def intensity(self) -> float:
        """Flops for each byte moved."""
        return self.flops / self.bytes


def plan(
    pattern: Pattern, *, dim: int, heads: int, batch: int, tile: tuple[int, ...] | None,
    key_tile: tuple[int, ...] | None, width: int,
) -> Plan:  # fmt: skip
    """See `Pattern.plan`. Prefix tokens are counted in pairs, not in tiles: kernels give them a pass of their own."""
    queries, keys = pattern.queries, pattern.keys
    tile = _checked(tile, queries)
    key_tile = _checked(key_tile, keys)
    lead = torch.Size(pattern.lead).numel()
    count, dense = pattern.count(), queries.tokens * keys.tokens
    visited, full = tiles(pattern, tile, key_tile)
    totals = [math.prod(-(-n // t) for n, t in zip(s.axes, ts, strict=True))
              for s, ts in ((queries, tile), (keys, key_tile))]  # fmt: skip
    each = 4 * dim * heads * batch
    return Plan(
        pairs=count // lead,
        dense_pairs=dense,
        flops=each * count // lead,
        dense_flops=each * dense,
        bytes=2 * width * dim * heads * batch * (queries.tokens + keys.tokens),
        tiles=visited,
        dense_tiles=totals[0] * totals[1] * lead,
        partial=visited - full,
        tile=tile,
        key_tile=key_tile,
    )


def tiles(pattern: Pattern, tile: Sequence[int], key_tile: Sequence[int]) -> tuple[int, int]:
    """Pairs of tiles with an allowed pair of tokens, and pairs of tiles with nothing else: from the intervals.

    Of one box both are products over axes. Otherwise the rule is looked at, a row of query tiles at a time.
    """
    if pattern.boxes is not None and len(pattern.boxes) == 1:
        return _of_box(pattern.boxes[0], tile, key_tile)
    return _of_rule(pattern, tile, key_tile)


def _of_box(box: Box, tile: Sequence[int], key_tile: Sequence[int]) -> tuple[int, int]:
    visited, full = 1, 1
    for axis, t, kt in zip(box, tile, key_tile, strict=True):
        support = axis.support().float()[None, None]
        some = F.max_pool2d(support, (t, kt), ceil_mode=True)
        every = -F.max_pool2d(-support, (t, kt), ceil_mode=True)
        visited, full = visited * int(some.sum()), full * int(every.sum())
    return visited, full


def _of_rule(pattern: Pattern, tile: Sequence[int], key_tile: Sequence[int]) -> tuple[int, int]:
    numbers = torch.arange(pattern.queries.body).view(pattern.queries.axes)
    key_number = torch.zeros(1, dtype=torch.long)
    for place, t, n in zip(
        pattern.keys.places(torch.arange(pattern.keys.body)), key_tile, pattern.keys.axes, strict=True
    ):
        key_number = key_number * -(-n // t) + place // t
    count = int(key_number.max()) + 1
    size = torch.zeros(count).index_add_(0, key_number, torch.ones(pattern.keys.body))
    visited = full = 0
    for part in _cut(numbers, list(tile)):
        seen = pattern.rule(part.reshape(-1, 1), torch.arange(pattern.keys.body)[None])
        seen = seen.expand(*pattern.lead, part.numel(), -1).float()
        held = torch.zeros(*seen.shape[:-1], count).index_add_(-1, key_number, seen).sum(-2)
        visited += int((held > 0).sum())
        full += int((held == size * part.numel()).sum())
    return visited, full


def _cut(numbers: Tensor, tile: list[int]) -> list[Tensor]:
    parts = [numbers]
    for axis, t in enumerate(tile):
        parts = [piece for part in parts for piece in part.split(t, axis)]
    return parts


def _checked(tile: tuple[int, ...] | None, space: Space) -> tuple[int, ...]:
    tile = DEFAULT_TILES[len(space.axes)] if tile is None else tile
    if len(tile) != len(space.axes) or min(tile) < 1:
        raise LayoutError(f"tile {tile} on space {space}", hint=f"{len(space.axes)} numbers of at least 1")
    return tuple(tile)
