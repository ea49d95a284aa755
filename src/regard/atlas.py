"""Results about all heads of a model: `Atlas`, `Joint`, `HeadGroups`. As all results, they hold and never compute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from regard.errors import LayoutError
from regard.layout import Grid
from regard.results import Array, Result, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS = ("query", "key")


@dataclass(frozen=True, eq=False, repr=False)
class Atlas(Result):
    """A number for every head: the mean over pictures `[L, H]`, NaN where a layer has fewer heads.

    std: between pictures (n - 1), None of a single one; lowest and highest: (layer, head), counted from 0.
    """

    values: Array
    addresses: tuple[str, ...]
    probe: str
    unit: str = ""
    std: Array | None = None
    pictures: tuple[str, ...] = ()
    lowest: tuple[int, int] = (0, 0)
    highest: tuple[int, int] = (0, 0)
    words: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    forwards: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or len(self.values) != len(self.addresses):
            raise LayoutError(
                f"an Atlas of {len(self.addresses)} calls needs values [{len(self.addresses)}, heads], "
                f"got {list(self.values.shape)}",
                hint="one row a call, one column a head",
            )

    def __repr__(self) -> str:
        there = self.values[~np.isnan(self.values)]
        span = f"{float(there.min()):.3g}..{float(there.max()):.3g} {self.unit}".rstrip() if there.size else "no values"
        return f"Atlas({self.probe}, {list(self.values.shape)}, {span}, pictures: {len(self.pictures)})"

    def table(self, of: Literal["mean", "std"] = "mean") -> Table:
        """Calls x heads: the mean over pictures, or the spread between them."""
        values = self.values if of == "mean" else np.full_like(self.values, np.nan) if self.std is None else self.std
        heads = tuple(f"head {h}" for h in range(values.shape[1]))
        rows = zip(self.addresses, values, strict=True)
        return Table(
            columns=("site", *heads),
            rows=tuple((a, *(None if np.isnan(v) else float(v) for v in row)) for a, row in rows),
            units=dict.fromkeys(heads, self.unit),
            title=self.probe if of == "mean" else f"{self.probe}: standard deviation between pictures",
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Layers x heads as a heat map, the two extremes outlined."""
        from regard.viz.heads import plot_atlas

        return plot_atlas(self, ax=ax)

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


@dataclass(frozen=True, eq=False, repr=False)
class Joint(Result):
    """Queries and keys of one head as points of one plane, so placed that near means a large dot product.

    points `[P, 2]`; key: bool `[P]`, whether a point is a key; picture and token `[P]`: whose (tokens count
    from 0, prefix first); scale: c of (c q, k / c); correlation: of distance with the logit at each stage
    (-1 would be perfect); explained: the plane's share of the variance.
    """

    points: Array
    key: Array
    picture: Array
    token: Array
    address: str
    head: int
    grids: tuple[Grid, ...]
    pictures: tuple[str, ...]
    scale: float = 1.0
    correlation: Mapping[str, float] = field(default_factory=dict)
    explained: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count = len(self.points)
        if self.points.ndim != 2 or self.points.shape[1] != 2:
            raise LayoutError(
                f"points of a plane are [P, 2], got {list(self.points.shape)}", hint="two numbers a point"
            )
        if not len(self.key) == len(self.picture) == len(self.token) == count:
            raise LayoutError(
                f"{count} points with {len(self.key)} kinds, {len(self.picture)} pictures and {len(self.token)} tokens",
                hint="one of each a point",
            )

    def __repr__(self) -> str:
        told = "".join(f", {name} {r:+.2f}" for name, r in self.correlation.items())
        return f"Joint({self.address} head {self.head}, {len(self.points)} points, c = {self.scale:.3g}{told})"

    def table(self) -> Table:
        """One row a point: picture, query or key, row and column of its patch (None of prefix tokens), place."""
        rows = []
        for (x, y), key, at, token in zip(self.points, self.key, self.picture, self.token, strict=True):
            grid = self.grids[int(at)]
            patch = int(token) - grid.prefix
            row, column = divmod(patch, grid.w) if patch >= 0 else (None, None)
            rows.append((self.pictures[int(at)], KINDS[int(key)], int(token), row, column, float(x), float(y)))
        return Table(
            columns=("picture", "kind", "token", "row", "column", "x", "y"),
            rows=tuple(rows),
            title=f"queries and keys of {self.address} head {self.head}",
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Queries and keys in their two colours."""
        from regard.viz.heads import plot_joint

        return plot_joint(self, ax=ax)


@dataclass(frozen=True, eq=False, repr=False)
class HeadGroups(Result):
    """Heads with like patterns: `labels` [L, H] with the number of each head's group, groups ordered by layer.

    names: of the groups, in words; medoids: each group's most typical (layer, head); features `[L, H, F]`
    with their names in `traits`, all shares in 0..1; cophenetic: how well the tree keeps the distances.
    """

    labels: Array
    addresses: tuple[str, ...]
    names: tuple[str, ...]
    medoids: tuple[tuple[int, int], ...]
    features: Array
    traits: tuple[str, ...]
    pictures: tuple[str, ...] = ()
    cophenetic: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.features.shape != (*self.labels.shape, len(self.traits)):
            raise LayoutError(
                f"features {list(self.features.shape)} of heads {list(self.labels.shape)} with "
                f"{len(self.traits)} traits",
                hint="features [L, H, traits]",
            )

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self.members(g))} {name}" for g, name in enumerate(self.names))
        return f"HeadGroups({counts})"

    def members(self, group: int) -> list[tuple[int, int]]:
        """The (layer, head) of a group's heads, in order."""
        return [(int(layer), int(head)) for layer, head in np.argwhere(self.labels == group)]

    def table(self) -> Table:
        """One row a group: its name, how many heads, the most typical one, and the means of the traits."""
        rows = []
        for group, name in enumerate(self.names):
            layer, head = self.medoids[group]
            means = self.features[self.labels == group].mean(0)
            typical = f"{self.addresses[layer]} head {head}"
            rows.append((group, name, len(self.members(group)), typical, *map(float, means)))
        return Table(
            columns=("group", "name", "heads", "most typical", *self.traits), rows=tuple(rows), title="groups of heads"
        )

    def plot(self, ax: Axes | None = None) -> Axes:
        """Layers x heads, each in the colour of its group."""
        from regard.viz.heads import plot_groups

        return plot_groups(self, ax=ax)
