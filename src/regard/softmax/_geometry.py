"""How a box of a pattern is cut: tiles of queries, and for each the span of keys that its queries see.

The axes of a box are brought to three. Axis 0 is gone along tile by tile: keys of a tile there are a slice, which costs
nothing. On axes 1 and 2 the spans of neighbouring tiles overlap, so keys are copied into strips, one for each tile
(`spread`); that costs span / tile of the keys, not its square. The last tile of an axis is moved back to fit; its
first queries are then computed twice, which forward does not mind and backward leaves out.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from regard.patterns._axis import Axis, Box, steps

ONE = Axis(1, (0,), (1,))
SIZES = (1, 2, 4, 8, 16, 32, 64)
LARGEST = 256  # queries of a tile
KEPT = 8  # masks of tile rows that are kept; patterns whose rows all differ make theirs anew
PER_QUERY, PER_KEY, PER_OP = 16, 8, 6000  # costs beside the pairs themselves, in pairs


@dataclass(frozen=True)
class Cut:
    """One axis in tiles: tile n holds queries first[n] .. and sees keys start[n] .. start[n] + span[n] - 1."""

    lo: tuple[int, ...]
    hi: tuple[int, ...]
    keys: int
    dilation: int
    tile: int
    even: bool  # whether all spans are equal

    @functools.cached_property
    def first(self) -> tuple[int, ...]:
        last = len(self.lo) - self.tile
        return tuple(min(at, last) for at in range(0, len(self.lo), self.tile))

    @functools.cached_property
    def span(self) -> tuple[int, ...]:
        spans = [max(0, self.hi[at + self.tile - 1] - self.lo[at]) for at in self.first]
        return (max(spans),) * len(spans) if self.even else tuple(spans)

    @functools.cached_property
    def start(self) -> tuple[int, ...]:
        return tuple(min(self.lo[at], self.keys - span) for at, span in zip(self.first, self.span, strict=True))

    @property
    def again(self) -> int:
        """Queries of the last tile that another tile holds, too."""
        return self.tile * len(self.first) - len(self.lo)

    def inside(self, n: int) -> Tensor:
        """Which keys of its span each query of tile n sees, bool `[tile, span]`."""
        mine = slice(self.first[n], self.first[n] + self.tile)
        key = torch.arange(self.start[n], self.start[n] + self.span[n])[None]
        return (torch.tensor(self.lo[mine])[:, None] <= key) & (key < torch.tensor(self.hi[mine])[:, None])

    def offset(self, n: int) -> Tensor:
        """Key's place minus query's, `[tile, span]`, in tokens."""
        ahead = torch.arange(self.span[n])[None] - torch.arange(self.tile)[:, None]
        return (ahead + self.start[n] - self.first[n]) * self.dilation


class Geometry:
    """Three cuts, and what a tile row's queries may see. Masks are kept, for they are the same for each call."""

    def __init__(self, cuts: tuple[Cut, Cut, Cut]) -> None:
        self.cuts = cuts
        rest = [torch.stack([cut.inside(n) for n in range(len(cut.first))]) for cut in cuts[1:]]
        self.rest = _crossed(*rest)  # [tiles of axis 1, tiles of axis 2, queries, keys]
        self._masks: dict[object, tuple[Tensor | None, Tensor | None]] = {}

    @property
    def tokens(self) -> int:
        """Queries of a tile."""
        return self.cuts[0].tile * self.cuts[1].tile * self.cuts[2].tile

    @property
    def across(self) -> tuple[int, int]:
        """Tiles on axes 1 and 2."""
        return len(self.cuts[1].first), len(self.cuts[2].first)

    @property
    def strip(self) -> int:
        """Keys of one place on axis 0 in a strip."""
        return self.cuts[1].span[0] * self.cuts[2].span[0]

    @property
    def empty(self) -> bool:
        return self.strip == 0 or not any(self.cuts[0].span)

    def kind(self, row: int) -> object:
        """Tile rows of one kind see alike."""
        cut = self.cuts[0]
        at = slice(cut.first[row], cut.first[row] + cut.tile)
        lo, hi = ([end - cut.start[row] for end in ends[at]] for ends in (cut.lo, cut.hi))
        return cut.span[row], tuple(lo), tuple(hi)

    def mask(self, row: int, like: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """What to add to the logits of a tile row, `[tiles of axis 1, tiles of axis 2, T, K]`, and its blind queries.

        None where all is seen, resp. where no query is blind.
        """
        key = (self.kind(row), like.dtype, like.device)
        if key not in self._masks:
            inside = self.cuts[0].inside(row)[:, None, :, None] & self.rest[:, :, None, :, None, :]
            inside = inside.flatten(4, 5).flatten(2, 3)
            added = torch.zeros(inside.shape, dtype=like.dtype).masked_fill_(~inside, float("-inf"))
            blind = ~inside.any(-1)
            made = (
                None if inside.all() else added.to(like.device),
                blind.to(like.device) if blind.any() else None,
            )
            if len(self._masks) >= KEPT:
                return made
            self._masks[key] = made
        return self._masks[key]

    def offsets(self, row: int, sizes: Sequence[int]) -> Tensor:
        """Where in a flattened table of relative places the pairs of a tile row stand; same shape as the mask."""
        cut = self.cuts[0]
        places = [torch.stack([c.offset(n) for n in range(len(c.first))]) for c in self.cuts[1:]]
        half = [size // 2 for size in sizes]
        first, *others = (
            (at + h).clamp(0, size - 1) for at, h, size in zip((cut.offset(row), *places), half, sizes, strict=True)
        )
        rest = _joined(others[0], others[1], sizes[2])
        full = first[:, None, :, None] * (sizes[1] * sizes[2]) + rest[:, :, None, :, None, :]
        return full.flatten(4, 5).flatten(2, 3)


def _crossed(one: Tensor, other: Tensor) -> Tensor:
    made = one[:, None, :, None, :, None] & other[None, :, None, :, None, :]
    return made.flatten(4, 5).flatten(2, 3)


def _joined(one: Tensor, other: Tensor, size: int) -> Tensor:
    made = one[:, None, :, None, :, None] * size + other[None, :, None, :, None, :]
    return made.flatten(4, 5).flatten(2, 3)


@functools.lru_cache(maxsize=64)
def geometries(box: Box, lead: int) -> tuple[tuple[tuple[range, ...], Geometry], ...]:
    """The pieces that a box falls into, one for each run of residues that are alike, and how each is cut.

    lead: pictures times heads: the more there are, the less an op of its own costs.
    """
    axes = three(box)
    made = []
    for runs in itertools.product(*(axis.classes for axis in axes)):
        parts = [
            (axis.lo[run.start :: axis.dilation], axis.hi[run.start :: axis.dilation],
             steps(axis.keys, axis.dilation, run.start), axis.dilation)
            for axis, run in zip(axes, runs, strict=True)
        ]  # fmt: skip
        if all(lo for lo, *_ in parts):
            best = min(_candidates(parts), key=lambda sizes: cost(_cuts(parts, sizes), lead))
            geometry = Geometry(_cuts(parts, best))
            if not geometry.empty:
                made.append((runs, geometry))
    return tuple(made)


def three(box: Box) -> Box:
    """One axis is laid along axis 1, in strips, where its spans are even; along axis 0 where they differ much."""
    if len(box) == 1:
        axis = box[0]
        spans = [b - a for a, b in zip(axis.lo, axis.hi, strict=True)]
        return (ONE, axis, ONE) if max(spans) * len(spans) <= 1.25 * sum(spans) else (axis, ONE, ONE)
    return (*box, *(ONE,) * (3 - len(box)))


def _candidates(parts: list[tuple[tuple[int, ...], tuple[int, ...], int, int]]) -> Iterator[tuple[int, ...]]:
    """Tile sizes: powers of two, the queries that share an interval, the whole axis."""
    each = []
    for lo, hi, *_ in parts:
        alike = next((n for n in range(1, len(lo)) if (lo[n], hi[n]) != (lo[0], hi[0])), len(lo))
        each.append(sorted({min(size, len(lo)) for size in (*SIZES, alike)}))
    fit = [sizes for sizes in itertools.product(*each) if torch.Size(sizes).numel() <= LARGEST]
    return iter(fit or [(1, 1, 1)])


def _cuts(
    parts: list[tuple[tuple[int, ...], tuple[int, ...], int, int]], sizes: tuple[int, ...]
) -> tuple[Cut, Cut, Cut]:
    a, b, c = (Cut(*part, tile=size, even=at > 0) for at, (part, size) in enumerate(zip(parts, sizes, strict=True)))
    return a, b, c


def cost(cuts: tuple[Cut, Cut, Cut], lead: int) -> float:
    """Pairs that are computed, whether seen or not, with what each query, key and op costs beside; in pairs."""
    queries = cuts[0].tile * cuts[1].tile * cuts[2].tile
    strip = cuts[1].span[0] * cuts[2].span[0]
    tiles = len(cuts[1].first) * len(cuts[2].first)
    rows = [span for span in cuts[0].span if span]
    pairs = sum((queries + PER_QUERY) * (span * strip + PER_KEY) for span in rows) * tiles
    return pairs + 2 * tiles * strip * cuts[0].keys + PER_OP * len(rows) / max(1, lead)


# Views that are copied between the picture's layout and that of tiles.


@functools.lru_cache(256)
def runs(places: tuple[int, ...], apart: int = 0) -> tuple[tuple[int, int, int, int], ...]:
    """Places as runs of equal steps of at least `apart`: (number of the first, how many, its place, step)."""
    found: list[tuple[int, int, int, int]] = []
    for at, place in enumerate(places):
        if found:
            first, count, start, step = found[-1]
            move = place - start if count == 1 else step
            if place == start + count * move and move >= apart:
                found[-1] = (first, count + 1, start, move)
                continue
        found.append((at, 1, place, 0))
    return tuple(found)


def spread(
    x: Tensor, tiles: Tensor, cuts: Sequence[tuple[tuple[int, ...], int]], *, apart: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs of views that hold the same tokens, of x `[M, n0, n1, n2, D]` and of tiles `[M, c1, c2, n0, s1, s2, D]`.

    cuts: for axes 1 and 2 where each tile starts and its size; apart: no view of x may overlap itself.
    """
    (starts1, size1), (starts2, size2) = cuts
    a, b = x.stride(2), x.stride(3)
    for first1, count1, start1, step1 in runs(starts1, size1 if apart else 0):
        for first2, count2, start2, step2 in runs(starts2, size2 if apart else 0):
            view = x.as_strided(
                (x.shape[0], count1, count2, x.shape[1], size1, size2, x.shape[4]),
                (x.stride(0), step1 * a, step2 * b, x.stride(1), a, b, x.stride(4)),
                x.storage_offset() + start1 * a + start2 * b,
            )
            yield view, tiles[:, first1 : first1 + count1, first2 : first2 + count2]


def residues(x: Tensor, chosen: Sequence[range], dilations: Sequence[int]) -> Tensor:
    """A view of x `[M, n0, n1, n2, D]` by residues: `[M, r0, r1, r2, m0, m1, m2, D]`."""
    counts = [steps(n, d, run.start) for n, d, run in zip(x.shape[1:4], dilations, chosen, strict=True)]
    moves = x.stride()[1:4]
    return x.as_strided(
        (x.shape[0], *(len(run) for run in chosen), *counts, x.shape[4]),
        (x.stride(0), *moves, *(s * d for s, d in zip(moves, dilations, strict=True)), x.stride(4)),
        x.storage_offset() + sum(run.start * s for run, s in zip(chosen, moves, strict=True)),
    )
