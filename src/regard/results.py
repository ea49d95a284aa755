"""What regard returns: `Map`, `Parts`, `Score` and `Table`. They hold and never compute.

Arrays are NumPy, raw and signed; normalising is the plot's business. Every result has
`plot(ax=None)`, `save(path)` with `load(path)` as its inverse, `to_dict()` that JSON can carry,
a one-line `repr` and an HTML form for notebooks.
"""

from __future__ import annotations

import dataclasses
import html
import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from regard import files
from regard.errors import DataError, LayoutError
from regard.layout import Grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from torch import Tensor

Array = NDArray[Any]
FORMAT = 1  # of the saved files


@dataclass(frozen=True, eq=False)
class Result:
    """Shared by all: saving, loading and plain-data views."""

    kinds: ClassVar[dict[str, type[Result]]] = {}

    def __init_subclass__(cls) -> None:
        Result.kinds[cls.__name__] = cls

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `json.dumps` takes; NaN and infinity become None."""
        facts = {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}
        return {"kind": type(self).__name__, **facts}

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write one `.npz` (arrays, and the rest as JSON; no pickle), whole or not at all."""
        target = Path(path)
        if target.suffix != ".npz":
            raise DataError(f"results are saved as .npz, got '{target.name}'", hint=f"save('{target.stem}.npz')")
        arrays, facts = {}, {}
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if isinstance(value, np.ndarray):
                arrays[f.name] = value
            else:
                facts[f.name] = _tagged(value)
        header = json.dumps({"format": FORMAT, "kind": type(self).__name__, "facts": facts})
        with files.whole(target) as draft, draft.open("wb") as out:
            np.savez_compressed(out, __regard__=np.array(header), **arrays)  # type: ignore[arg-type]
        return target

    def _repr_html_(self) -> str:
        return f"<code>{html.escape(repr(self))}</code>"


def load(path: str | os.PathLike[str]) -> Result:
    """Read what `save` wrote."""
    target = Path(path)
    if not target.exists():
        raise DataError(f"no file '{target}'", hint="check the path; results end in .npz")
    try:
        with zipfile.ZipFile(target) as archive:  # np.load itself would also take other kinds of files
            arrays = {name.removesuffix(".npy"): _array(archive, name) for name in archive.namelist()}
        header = json.loads(str(arrays.pop("__regard__")))
        form, kind = int(header["format"]), str(header["kind"])
        if kind not in Result.kinds:
            import_module("regard.atlas")  # the results about heads, which make themselves known
        if form <= FORMAT and kind in Result.kinds:
            return Result.kinds[kind](**arrays, **_untagged(header["facts"]))
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"'{target}' is not a saved regard result ({error})", hint="load what .save() wrote") from error
    raise DataError(
        f"'{target}' holds a {kind} in format {form}; this version reads up to {FORMAT}", hint="pip install -U regard"
    )


def _array(archive: zipfile.ZipFile, name: str) -> Array:
    with archive.open(name) as stream:
        stored: Array = np.lib.format.read_array(stream, allow_pickle=False)
    return stored


@dataclass(frozen=True, eq=False, repr=False)
class Map(Result):
    """Where something is: raw signed values `[B, h, w]` on a grid, with how they were made.

    gap: |sum of the map - d| / |d|, the largest of the batch, d what the map should sum to: f(x) - f(baseline), or f(x)
    where the method has no baseline. A share without a sign: whether the sum is too large or too small it
    does not tell. None where no sum is promised. se: the standard error of each value, of what draws.
    """

    values: Array
    grid: Grid
    method: str
    target: str | None = None
    target_index: tuple[int, ...] | None = None
    site: str | None = None
    unit: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    forwards: int = 0
    seconds: float = 0.0
    seed: int | None = None
    gap: float | None = None
    se: Array | None = None
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.values.shape[1:] != (self.grid.h, self.grid.w):
            raise LayoutError(
                f"a Map on grid {self.grid} needs values [B, {self.grid.h}, {self.grid.w}], "
                f"got {list(self.values.shape)}",
                hint="grid.to_map(tokens) lays a row of tokens out",
            )

    def __repr__(self) -> str:
        there = self.values[~np.isnan(self.values)]
        span = f"{float(there.min()):.3g}..{float(there.max()):.3g}" if there.size else "no values"
        goal = f" of {_cut(self.target)}" if self.target else ""
        unit = f" {self.unit}" if self.unit and there.size else ""
        doubt = f"; {self.warnings[0]}" if self.warnings else ""
        return f"Map({self.method}{goal}, {list(self.values.shape)}, {span}{unit}{doubt})"

    def plot(self, ax: Axes | None = None, *, over: Array | Tensor | None = None, index: int = 0) -> Axes:
        """Draw map `index`, over a photo `[H, W, 3]` or what the model took `[B, 3, H, W]` if one is given."""
        from regard.viz.figures import plot_map

        return plot_map(self, ax=ax, over=over, index=index)

    def describe(self, *, index: int = 0, coverage: float = 0.5) -> str:
        """Map `index` in words: the fewest places that hold this share of it, for the target and against it."""
        from regard.viz.words import describe_map

        return describe_map(self, index=index, coverage=coverage)


@dataclass(frozen=True, eq=False, repr=False)
class Parts(Result):
    """Components of a picture `[B, K, h, w]` with their names, and a mask `[B, h, w]` where one is cut out."""

    values: Array
    names: tuple[str, ...]
    grid: Grid
    method: str
    site: str | None = None
    unit: str = ""
    mask: Array | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    forwards: int = 0
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.values.ndim != 4 or self.values.shape[2:] != (self.grid.h, self.grid.w):
            raise LayoutError(
                f"Parts on grid {self.grid} need values [B, K, {self.grid.h}, {self.grid.w}], "
                f"got {list(self.values.shape)}",
                hint="grid.to_map(tokens) lays rows of tokens out",
            )

    def __repr__(self) -> str:
        share = f", mask covers {100 * float(self.mask.mean()):.0f} %" if self.mask is not None else ""
        return f"Parts({self.method}, {list(self.values.shape)}{share})"

    def plot(self, ax: Axes | None = None, *, over: Array | Tensor | None = None, index: int = 0) -> Axes:
        """Draw the mask's outline over a photo, or up to three components as colours."""
        from regard.viz.figures import plot_parts

        return plot_parts(self, ax=ax, over=over, index=index)


@dataclass(frozen=True, eq=False, repr=False)
class Score(Result):
    """How good a map is: a value beside what chance gives.

    `null` holds the values of `n` random maps, `p` the share of them (with this one) at least as good,
    `interval` the central 95 % of the null, `curve` the points behind the value `[2, S]`
    (x, y) and `null_curves` those of the random maps `[n, S]`; `se` is the Monte-Carlo error of the value.
    """

    value: float
    metric: str
    convention: str
    direction: Literal["higher", "lower"]
    target: str | None = None
    interval: tuple[float, float] | None = None
    null: Array | None = None
    p: float | None = None
    n: int = 0
    seed: int | None = None
    forwards: int = 0
    seconds: float = 0.0
    curve: Array | None = None
    null_curves: Array | None = None
    se: float | None = None

    def __repr__(self) -> str:
        chance = f", chance {self.interval[0]:.3g}..{self.interval[1]:.3g}" if self.interval else ""
        p = f", p = {self.p:.3g}" if self.p is not None else ""
        return f"Score({self.metric} = {self.value:.4g} ({self.direction} is better){chance}{p})"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the curve over the band of random maps."""
        from regard.viz.figures import plot_score

        return plot_score(self, ax=ax)


@dataclass(frozen=True, eq=False, repr=False)
class Table(Result):
    """Named columns with units; a row is a tuple as long as `columns`."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    units: Mapping[str, str] = field(default_factory=dict)
    title: str = ""

    def __post_init__(self) -> None:
        wrong = [row for row in self.rows if len(row) != len(self.columns)]
        if wrong:
            raise LayoutError(
                f"a row of {len(wrong[0])} cells in a table of {len(self.columns)} columns",
                hint="give every row one cell a column",
            )

    def __repr__(self) -> str:
        return f"Table({self.title or 'untitled'}: {len(self.rows)} rows x {', '.join(self.columns)})"

    def __str__(self) -> str:
        """All of it as text: a header with units, one row a line, numbers to the right."""
        lines = [[f"{c} ({self.units[c]})" if self.units.get(c) else c for c in self.columns]]
        lines += [[_short(cell) for cell in row] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        words = [any(isinstance(cell, str) for cell in column) for column in zip(*self.rows, strict=True)]
        words = words or [True] * len(widths)
        told = (
            "  ".join(c.ljust(w) if left else c.rjust(w) for c, w, left in zip(line, widths, words, strict=True))
            for line in lines
        )
        return "\n".join(line.rstrip() for line in ([self.title] if self.title else []) + list(told))

    def column(self, name: str) -> list[Any]:
        """The cells of one column."""
        if name not in self.columns:
            raise LayoutError(f"no column '{name}'", hint=f"one of {', '.join(self.columns)}")
        at = self.columns.index(name)
        return [row[at] for row in self.rows]

    def sort(self, name: str, *, descending: bool = False) -> Table:
        """The rows in the order of a column; those without a value there come last."""
        keys = self.column(name)
        empty = [at for at, key in enumerate(keys) if key is None or key != key]
        full = [at for at in range(len(keys)) if at not in set(empty)]
        try:
            full.sort(key=keys.__getitem__, reverse=descending)
        except TypeError as error:
            raise LayoutError(
                f"column '{name}' holds numbers and words, which have no order", hint="another column"
            ) from error
        return dataclasses.replace(self, rows=tuple(self.rows[at] for at in full + empty))

    def numbers(self) -> Array:
        """The cells after the first column, as floats `[rows, columns - 1]`; None is NaN, words are refused."""
        for row in self.rows:
            for name, cell in zip(self.columns[1:], row[1:], strict=True):
                if isinstance(cell, str):
                    raise LayoutError(
                        f"'{cell}' in column '{name}' is no number", hint="column(name) gives the cells of one column"
                    )
        cells = [[np.nan if c is None else float(c) for c in row[1:]] for row in self.rows]
        return np.array(cells, dtype=float).reshape(len(self.rows), max(0, len(self.columns) - 1))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the numeric part as a heat map, one row a line."""
        from regard.viz.figures import plot_table

        return plot_table(self, ax=ax)

    def _repr_html_(self) -> str:
        def cells(row: tuple[Any, ...], tag: str) -> str:
            return "".join(f"<{tag}>{html.escape(_short(c))}</{tag}>" for c in row)

        head = cells(tuple(f"{c} ({self.units[c]})" if self.units.get(c) else c for c in self.columns), "th")
        body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in self.rows)
        return f"<table><caption>{html.escape(self.title)}</caption><tr>{head}</tr>{body}</table>"


def _cut(text: str, most: int = 60) -> str:
    """A line stays one: the targets of many pictures are many."""
    return text if len(text) <= most else f"{text[: most - 3].rstrip(', ')}..."


def _short(cell: Any) -> str:
    return f"{cell:.3g}" if isinstance(cell, float) else "" if cell is None else str(cell)


def _plain(value: Any) -> Any:
    """JSON-safe form; numbers that JSON lacks become None."""
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, Grid):
        return dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(v) for v in value]
    return value if value is None or isinstance(value, (str, bool, int)) else str(value)


def _tagged(value: Any) -> Any:
    """As `_plain`, but Grid, tuple and array survive the way there and back, and NaN stays NaN."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return {"__array__": value.tolist(), "dtype": str(value.dtype)}
    if isinstance(value, Grid):
        return {"__grid__": dataclasses.asdict(value)}
    if isinstance(value, tuple):
        return {"__tuple__": [_tagged(v) for v in value]}
    if isinstance(value, list):
        return [_tagged(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): _tagged(v) for k, v in value.items()}
    if isinstance(value, float):
        return value
    return value.item() if isinstance(value, np.generic) else _plain(value)


def _untagged(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"__grid__"}:
            return Grid(**value["__grid__"])
        if set(value) == {"__array__", "dtype"}:
            return np.array(value["__array__"], dtype=value["dtype"])
        if set(value) == {"__tuple__"}:
            return tuple(_untagged(v) for v in value["__tuple__"])
        return {k: _untagged(v) for k, v in value.items()}
    return [_untagged(v) for v in value] if isinstance(value, list) else value
