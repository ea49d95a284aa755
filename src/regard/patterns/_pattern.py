"""`Pattern`: which key each query may see. Data only: nothing of the size queries x keys is held.

A pattern is told twice, on purpose. `rule` is the definition, pair by pair, and the oracle of the tests. `boxes` are
intervals on the axes, without overlap, which the tiled and flex implementations read; None where there are none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from regard.errors import LayoutError
from regard.patterns._axis import Axis, Box, meet, minus, pairs
from regard.patterns._plan import Plan, plan
from regard.patterns._space import Space

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Rule = Callable[[Tensor, Tensor], Tensor]  # numbers of body queries [q, 1] and keys [1, k] -> bool [..., q, k]
BLOCK = 1 << 22  # pairs that are looked at in one piece


@dataclass(eq=False, repr=False)
class Pattern:
    """Who may look at whom between the tokens of `queries` and of `keys`; `&` and `|` make others of it.

    Prefix tokens are global: they see all, and all see them. lead: `(B, H)`, or 1 in their places, of a pattern that
    was made from data and differs between pictures or heads. Equal: same spaces and same intervals (or same rule).
    """

    name: str
    queries: Space
    keys: Space
    rule: Rule
    boxes: tuple[Box, ...] | None = None
    lead: tuple[int, ...] = field(default=())

    def __setattr__(self, name: str, value: object) -> None:
        """Set once, as in a frozen dataclass; of those torch.compile takes none as a constant of its graph."""
        if name in self.__dict__:
            raise AttributeError(f"a pattern does not change: {name} of {self}")
        self.__dict__[name] = value

    def __repr__(self) -> str:
        return self.name

    @property
    def _identity(self) -> tuple[Any, ...]:
        return self.queries, self.keys, self.lead, self.rule if self.boxes is None else self.boxes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __and__(self, other: Any) -> Pattern:
        """Pairs that are in both."""
        self._check(other, "&")
        boxes = None
        if self.boxes is not None and other.boxes is not None:
            met = [meet(a, b) for a in self.boxes for b in other.boxes]
            boxes = None if None in met else tuple(box for box in met if box is not None and pairs(box))
        return self._with(other, "&", Both(self.rule, other.rule), boxes)

    def __or__(self, other: Any) -> Pattern:
        """Pairs that are in one or the other, or in both."""
        self._check(other, "|")
        boxes: list[Box] | None = None
        if self.boxes is not None and other.boxes is not None:
            boxes = [*self.boxes]
            for box in other.boxes:
                rest = _without(box, self.boxes)
                boxes = None if boxes is None or rest is None else boxes + rest
        return self._with(other, "|", Either(self.rule, other.rule), None if boxes is None else tuple(boxes))

    def _with(self, other: Pattern, sign: str, rule: Rule, boxes: tuple[Box, ...] | None) -> Pattern:
        lead = tuple(torch.broadcast_shapes(self.lead, other.lead))
        return Pattern(f"({self} {sign} {other})", self.queries, self.keys, rule, boxes, lead)

    def _check(self, other: object, sign: str) -> None:
        if not isinstance(other, Pattern) or (self.queries, self.keys) != (other.queries, other.keys):
            told = f"{other.queries} -> {other.keys}" if isinstance(other, Pattern) else "no pattern"
            raise LayoutError(
                f"{self} {sign} {other!r}: {self.queries} -> {self.keys} against {told}",
                hint="patterns are joined on the same spaces",
            )

    # Pair by pair: slow, plain, and the definition.

    def rows(self, start: int, stop: int, device: torch.device | str = "cpu") -> Tensor:
        """Which keys queries start .. stop - 1 see, bool `[*lead, rows, K]`, prefix tokens first."""
        query = torch.arange(start, min(stop, self.queries.tokens), device=device)[:, None] - self.queries.prefix
        key = torch.arange(self.keys.body, device=device)[None]
        seen = self.rule(query.clamp_min(0), key).expand(*self.lead, len(query), -1)
        everyone = torch.ones(*self.lead, len(query), self.keys.prefix, dtype=torch.bool, device=device)
        return torch.cat([everyone, seen], -1) | (query < 0)

    def blocks(self, device: torch.device | str = "cpu") -> Iterator[tuple[int, Tensor]]:
        """All rows, so many at a time that memory stays small."""
        heads = torch.Size(self.lead).numel()
        step = max(1, BLOCK // (self.keys.tokens * heads))
        for start in range(0, self.queries.tokens, step):
            yield start, self.rows(start, start + step, device)

    def mask(self, device: torch.device | str = "cpu") -> Tensor:
        """All rows at once, bool `[*lead, Q, K]`; True: may look."""
        return torch.cat([rows for _, rows in self.blocks(device)], -2)

    # Counted from the intervals.

    def count(self) -> int:
        """Pairs of a query and a key that it sees, prefix included; over `lead`, where there is one."""
        if self.boxes is None:
            return sum(int(rows.sum()) for _, rows in self.blocks())
        among_prefix = self.queries.prefix * self.keys.tokens + self.queries.body * self.keys.prefix
        return among_prefix + sum(pairs(box) for box in self.boxes)

    def plan(self, *, dim: int = 64, heads: int = 1, batch: int = 1, tile: tuple[int, ...] | None = None,
             key_tile: tuple[int, ...] | None = None, width: int = 4) -> Plan:  # fmt: skip
        """What this pattern costs: flops, bytes, tiles, and the bound on its speed-up over dense attention.

        tile, key_tile: queries and keys that a kernel takes at a time, on each axis (32 in all, if not given);
        width: bytes of a number. Raises LayoutError for tiles of another number of axes.
        """
        return plan(self, dim=dim, heads=heads, batch=batch, tile=tile, key_tile=key_tile, width=width)

    def plot(self, query: int | None = None, ax: Axes | None = None) -> Axes:
        """The keys that a query sees, where they lie. query: its number, prefix included; None: the middle one."""
        from regard.viz.patterns import plot_pattern

        space = self.queries
        middle = space.prefix + sum(n // 2 * _stride(space.axes, at) for at, n in enumerate(space.axes))
        at = middle if query is None else query
        if not 0 <= at < space.tokens:
            raise LayoutError(f"no query {at} in space {space}", hint=f"0 .. {space.tokens - 1}")
        seen = self.rows(at, at + 1).flatten(0, -2)[0]
        self_at = at - space.prefix if space == self.keys and at >= space.prefix else None
        return plot_pattern(seen[self.keys.prefix :].numpy(), self.keys.axes, self_at, f"{self}, query {at}", ax=ax)


# For torch.compile, which asks what a pattern is when its graph first meets one, before `attend` is called.
pytree.register_constant(Pattern)


@dataclass(frozen=True)
class Both:
    """A pair that two rules allow."""

    one: Rule
    other: Rule

    def __call__(self, query: Tensor, key: Tensor) -> Tensor:
        return self.one(query, key) & self.other(query, key)


@dataclass(frozen=True)
class Either:
    """A pair that one of two rules allows."""

    one: Rule
    other: Rule

    def __call__(self, query: Tensor, key: Tensor) -> Tensor:
        return self.one(query, key) | self.other(query, key)


@dataclass(frozen=True)
class OnAxis:
    """A rule about places on one axis, `rule(i, j, *facts)`."""

    rule: Callable[..., Tensor]
    facts: tuple[Any, ...]

    def __call__(self, i: Tensor, j: Tensor) -> Tensor:
        return self.rule(i, j, *self.facts)


@dataclass(frozen=True)
class PerAxis:
    """A pair whose places are allowed on each axis."""

    queries: Space
    keys: Space
    rules: tuple[OnAxis, ...]

    def __call__(self, query: Tensor, key: Tensor) -> Tensor:
        seen = torch.ones((), dtype=torch.bool, device=key.device)
        for rule, i, j in zip(self.rules, self.queries.places(query), self.keys.places(key), strict=True):
            seen = seen & rule(i, j)
        return seen.expand(torch.broadcast_shapes(query.shape, key.shape))


class Held:
    """A tensor inside a pattern: it never changes, and is equal to another of the same content."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach().to("cpu", copy=True).contiguous()
        self._content = hashlib.sha256(self.tensor.flatten().view(torch.uint8).numpy()).digest()

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, Held) and self.tensor.shape == other.tensor.shape
        return same and self._content == other._content  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash(self._content)


@dataclass(frozen=True)
class Listed:
    """A pair whose key stands in the list of its query, `[*lead, Q, n]`, among so many keys."""

    places: Held
    keys: int

    def __call__(self, query: Tensor, key: Tensor) -> Tensor:
        listed = self.places.tensor.to(key.device)[..., query[..., 0], :]
        seen = torch.zeros(*listed.shape[:-1], self.keys, dtype=torch.bool, device=key.device)
        return seen.scatter_(-1, listed, True)[..., key[0]]


@dataclass(frozen=True)
class Blocks:
    """A pair of tokens whose blocks are a True pair of the table, `[*lead, blocks, blocks]`."""

    table: Held
    size: tuple[int, ...]
    queries: tuple[int, ...]
    keys: tuple[int, ...]

    def __call__(self, query: Tensor, key: Tensor) -> Tensor:
        blocks = block_of(query, self.queries, self.size), block_of(key, self.keys, self.size)
        return self.table.tensor.to(key.device)[..., blocks[0], blocks[1]]


def block_of(index: Tensor, axes: tuple[int, ...], size: tuple[int, ...]) -> Tensor:
    """The number of the block that a token lies in; blocks row by row, the last of an axis may be smaller."""
    number, stride = torch.zeros_like(index), 1
    for length, cut in zip(reversed(axes), reversed(size), strict=True):
        number = number + torch.div(index % length, cut, rounding_mode="floor") * stride
        index, stride = torch.div(index, length, rounding_mode="floor"), stride * -(-length // cut)
    return number


def separable(
    name: str, queries: Space, rule: Callable[..., Tensor], facts: list[tuple[Any, ...]], axes: list[Axis],
    keys: Space | None = None,
) -> Pattern:  # fmt: skip
    """A pattern that is a product over axes: `rule(i, j, *facts)` and the intervals of each axis."""
    keys = queries if keys is None else keys
    rules = tuple(OnAxis(rule, fact) for fact in facts)
    return Pattern(name, queries, keys, PerAxis(queries, keys, rules), (tuple(axes),))


def _without(box: Box, others: tuple[Box, ...]) -> list[Box] | None:
    rest = [box]
    for other in others:
        parts = [minus(piece, other) for piece in rest]
        if None in parts:
            return None
        rest = [piece for part in parts if part is not None for piece in part]
    return rest


def _stride(axes: tuple[int, ...], at: int) -> int:
    return int(torch.Size(axes[at + 1 :]).numel())
