"""Figures of benchmarks: measured beside predicted speed-ups, and gains over length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from regard.results import Table

MEASURED, PREDICTED, EVEN = "#0d9488", "#c2410c", "#9ca3af"
COLOURS = ("#1d4ed8", "#c2410c", "#0d9488", "#7e22ce", "#a16207", "#be185d")  # lines of a panel: no more than these
COLUMNS = 3  # panels side by side
APART = 0.075  # of a panel's height: so far are names at the ends of lines


def plot_speedups(table: Table, title: str, *, ax: Axes | None = None) -> Axes:
    """Below the name of each pattern a bar for each way that ran: how many times faster than dense attention; a mark
    where the plan's bound is."""
    at = {name: table.columns.index(name) for name in ("pattern", "impl", "pass", "times dense", "bound", "took")}
    ran = [row for row in table.rows if row[at["times dense"]] is not None and row[at["impl"]] != "dense"]
    several = len({row[at["pass"]] for row in ran}) > 1
    names: list[str] = []
    bars: list[tuple[int, float, float]] = []
    for pattern, rows in groupby(ran, key=lambda row: row[at["pattern"]]):
        names.append(pattern)
        for row in rows:
            bars.append((len(names), float(row[at["times dense"]]), float(row[at["bound"]])))
            names.append(way(row[at["impl"]], row[at["took"]]) + (f", {row[at['pass']]}" if several else ""))
    if ax is None:
        ax = Figure(figsize=(7, 1.3 + 0.24 * max(1, len(names))), layout="constrained").add_subplot()
    places, gains, bounds = ([bar[i] for bar in bars] for i in range(3))
    ax.barh(places, gains, color=MEASURED, height=0.6, label="measured")
    ax.plot(bounds, places, "|", color=PREDICTED, markersize=11, markeredgewidth=2.5, label="bound of 32 x 32 tiles")
    for place, gain, bound in bars:
        ax.text(max(gain, bound), place, f"  {gain:.1f} of {bound:.1f}", va="center", fontsize=7)
    ax.axvline(1, color=EVEN, lw=1)
    ax.set_yticks(range(len(names)), names, fontsize=7)
    for place, label in enumerate(ax.get_yticklabels()):
        label.set_fontweight("normal" if place in places else "bold")
    ax.tick_params(axis="y", length=0)
    ax.margins(x=0.12)
    ax.set(xlim=(0, None), ylim=(max(1, len(names)) - 0.4, -0.6))
    ax.set_xlabel("times dense attention with a mask", fontsize=8)
    if bars:
        ax.legend(frameon=False, fontsize=7, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0)
    ax.figure.suptitle(title, fontsize=8, x=0.01, ha="left")
    return _bare(ax)


def way(impl: str, took: str | None) -> str:
    """An implementation by name, and what "auto" chose.

    >>> way("auto", "tiled"), way("tiled", "tiled")
    ('auto: tiled', 'tiled')
    """
    return f"{impl}: {took}" if impl == "auto" and took else impl


class Line(NamedTuple):
    """An operator's gains over plain attention by length, in one kind."""

    name: str
    kind: str
    lengths: tuple[int, ...]
    gains: tuple[float, ...]


def plot_crossovers(table: Table, title: str, *, ax: Axes | None = None) -> Axes:
    """How many times faster than plain attention each operator is, over the length: in panels by kind, a handful of
    lines in each with their names at their ends, the fastest first. Gives the first panel; `ax` gets all the lines."""
    at = [table.columns.index(name) for name in ("operator", "kind", "length", "times plain")]
    cells = [tuple(row[i] for i in at) for row in table.rows]
    lines = [
        Line(name, kind, *zip(*((length, gain) for _, _, length, gain in rows), strict=True))
        for (name, kind), rows in groupby(cells, key=lambda cell: cell[:2])
    ]
    panels = [("", lines)] if ax is not None else _panels(lines)
    axes = [ax] if ax is not None else _grid(len(panels))
    gains = [gain for line in lines for gain in line.gains] or [1.0]
    low, high = math.log10(min(*gains, 1.0)) - 0.1, math.log10(max(*gains, 1.0)) + 0.1
    lengths = sorted({length for line in lines for length in line.lengths})
    for place, (name, some) in zip(axes, panels, strict=True):
        _lines(place, some, (low, high), several=len({line.kind for line in some}) > 1)
        place.axhline(1, color=EVEN, lw=1)
        place.set(xscale="log", yscale="log", ylim=(10**low, 10**high))
        place.set_xticks(lengths, [str(n) for n in lengths])
        place.minorticks_off()
        place.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        place.set_title(name, fontsize=8, loc="left")
        place.set_xlabel("tokens", fontsize=7)
        _bare(place).set_ylabel("times plain attention", fontsize=7)
    axes[0].figure.suptitle(title, fontsize=8, x=0.01, ha="left")
    return axes[0]


def _panels(lines: Sequence[Line]) -> list[tuple[str, list[Line]]]:
    """Of each kind, the fastest at the longest length first, as many as there are colours."""
    found: list[tuple[str, list[Line]]] = []
    for kind in dict.fromkeys(line.kind for line in lines):
        ranked = sorted((line for line in lines if line.kind == kind), key=lambda line: -line.gains[-1])
        parts = [ranked[i : i + len(COLOURS)] for i in range(0, len(ranked), len(COLOURS))]
        found += [(f"{kind}, {i} of {len(parts)}" if parts[1:] else kind, part) for i, part in enumerate(parts, 1)]
    return found or [("", [])]


def _grid(count: int) -> list[Axes]:
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(3.9 * columns, 0.4 + 2.4 * rows), layout="constrained")
    return [figure.add_subplot(rows, columns, i + 1) for i in range(count)]


def _lines(ax: Axes, lines: Sequence[Line], limits: tuple[float, float], *, several: bool) -> None:
    ordered = sorted(enumerate(lines), key=lambda pair: pair[1].gains[-1])
    gap, (low, high) = APART * (limits[1] - limits[0]), limits
    ends = spread([math.log10(line.gains[-1]) for _, line in ordered], gap)
    for place, (number, line) in enumerate(ordered):
        end = min(max(ends[place], low + place * gap), high - (len(ends) - 1 - place) * gap)  # beside the panel
        how: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)]}
        ax.plot(line.lengths, line.gains, marker="o", markersize=3, lw=1.3, **how)
        name = f"{line.name}, {line.kind}" if several else line.name
        ax.text(1.02, 10**end, name, transform=ax.get_yaxis_transform(), va="center", fontsize=7, **how)


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Rising values moved as little as may be (least squares) so that neighbours are `gap` apart.

    >>> [round(v, 2) for v in spread([0.0, 0.0, 5.0], 1.0)]
    [-0.5, 0.5, 5.0]
    """
    blocks: list[tuple[float, int]] = []  # mean and size of runs that touch, each value less its place's gaps
    for place, value in enumerate(values):
        mean, size = value - place * gap, 1
        while blocks and blocks[-1][0] > mean:
            before, more = blocks.pop()
            mean, size = (mean * size + before * more) / (size + more), size + more
        blocks.append((mean, size))
    flat = [mean for mean, size in blocks for _ in range(size)]
    return [value + place * gap for place, value in enumerate(flat)]


def _bare(ax: Axes) -> Axes:
    ax.tick_params(labelsize=7)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax
