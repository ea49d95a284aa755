"""Figures of benchmarks: measured beside predicted speed-ups, and gains over length."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from regard.results import Table

MEASURED, PREDICTED, EVEN = "#0d9488", "#c2410c", "#9ca3af"


def plot_speedups(table: Table, title: str, *, ax: Axes | None = None) -> Axes:
    """A bar for each way that ran: how many times faster than dense attention; a mark where the plan's bound is."""
    at = {name: table.columns.index(name) for name in ("pattern", "impl", "pass", "times dense", "bound")}
    rows = [row for row in table.rows if row[at["times dense"]] is not None and row[at["impl"]] != "dense"]
    names = [f"{row[at['pattern']]}\n{row[at['impl']]}, {row[at['pass']]}" for row in rows]
    if ax is None:
        ax = Figure(figsize=(7, 1.5 + 0.42 * max(1, len(rows))), layout="constrained").add_subplot()
    gains, bounds = ([float(row[at[name]]) for row in rows] for name in ("times dense", "bound"))
    places = range(len(rows))
    ax.barh(places, gains, color=MEASURED, height=0.6, label="measured")
    ax.plot(bounds, places, "|", color=PREDICTED, markersize=14, markeredgewidth=2.5, label="bound of 32 x 32 tiles")
    for place, gain in zip(places, gains, strict=True):
        ax.text(gain, place, f" {gain:.1f}", va="center", fontsize=7)
    ax.axvline(1, color=EVEN, lw=1)
    ax.set_yticks(places, names, fontsize=7)
    ax.invert_yaxis()
    ax.set_xlabel("times dense attention with a mask", fontsize=8)
    return _finish(ax, title)


def plot_crossovers(table: Table, title: str, *, ax: Axes | None = None) -> Axes:
    """A line for each operator and kind: how many times faster than plain attention, over the length."""
    at = {name: table.columns.index(name) for name in ("operator", "kind", "length", "times plain")}
    if ax is None:
        ax = Figure(figsize=(7.5, 5), layout="constrained").add_subplot()
    several = len({row[at["kind"]] for row in table.rows}) > 1
    groups = [
        (key, list(rows)) for key, rows in groupby(table.rows, key=lambda row: (row[at["operator"]], row[at["kind"]]))
    ]
    for number, ((operator, kind), rows) in enumerate(groups):
        ax.plot(
            [row[at["length"]] for row in rows], [row[at["times plain"]] for row in rows], marker="o", markersize=3,
            color=colormaps["tab20"](number % 20), linestyle=("-", "--", ":")[number // 20 % 3], lw=1.2,
            label=f"{operator}, {kind}" if several else operator,
        )  # fmt: skip
    ax.axhline(1, color=EVEN, lw=1)
    ax.set_xscale("log")
    ax.set_yscale("log")
    lengths = sorted({row[at["length"]] for row in table.rows})
    ax.set_xticks(lengths, [str(n) for n in lengths], fontsize=8)
    ax.minorticks_off()
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xlabel("tokens", fontsize=8)
    ax.set_ylabel("times plain attention", fontsize=8)
    return _finish(ax, title, outside=True)


def _finish(ax: Axes, title: str, *, outside: bool = False) -> Axes:
    ax.tick_params(labelsize=7)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.set_title(title, fontsize=8, loc="left" if outside else "right", parse_math=False)
    if ax.get_legend_handles_labels()[1]:
        if outside:
            ax.legend(frameon=False, fontsize=6.5, loc="center left", bbox_to_anchor=(1.0, 0.5))
        else:
            ax.legend(frameon=False, fontsize=7, loc="lower right")
    return ax
