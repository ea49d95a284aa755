"""One figure a result, and the sheets that `regard look` saves. No figure is opened or shown here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from regard.errors import LayoutError
from regard.viz.colour import TABLE, as_photo, as_rgb, limits, outline, overlay, resize

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from regard.results import Map, Parts, Score, Table

Array = NDArray[Any]

PROBABILITY = {"deletion": "removed", "insertion": "shown"}  # metrics whose curves are probabilities, by what x counts


def _axes(ax: Axes | None) -> Axes:
    if ax is not None and not hasattr(ax, "imshow"):
        raise LayoutError(f"plot(ax) draws on axes, got {type(ax).__name__}", hint="a picture goes in as plot(over=x)")
    return Figure(figsize=(4.5, 4), layout="constrained").add_subplot() if ax is None else ax


def plot_map(result: Map, *, ax: Axes | None, over: Any, index: int) -> Axes:
    """A map in its own colours, or over a photo, with a bar that tells values and signs."""
    ax = _axes(ax)
    values = result.values[index]
    low, high, colours = limits(values)
    if over is not None:
        ax.imshow(overlay(as_photo(over, index), values))
        drawn: Any = ScalarMappable(Normalize(low, high), colours)
    else:
        drawn = ax.imshow(values, cmap=colours, vmin=low, vmax=high)
    ax.figure.colorbar(drawn, ax=ax, shrink=0.8, label=result.unit)
    ax.set_title(result.method + (f": {result.target}" if result.target else ""), fontsize=10, parse_math=False)
    ax.axis("off")
    return ax


def plot_parts(result: Parts, *, ax: Axes | None, over: Any, index: int) -> Axes:
    """The mask's outline on a photo, else components as colours, else the first component."""
    ax = _axes(ax)
    values = result.values[index]
    if result.mask is not None and over is not None:
        ax.imshow(outline(as_photo(over, index), result.mask[index]))
    elif values.shape[0] >= 2:
        ax.imshow(as_rgb(values))
    else:
        low, high, colours = limits(values)
        ax.imshow(values[0], cmap=colours, vmin=low, vmax=high)
    ax.set_title(result.method, fontsize=10)
    ax.axis("off")
    return ax


def plot_score(result: Score, *, ax: Axes | None) -> Axes:
    """The curve of a score over the central 95 % of random maps; without a curve, the value among theirs."""
    ax = _axes(ax)
    if result.curve is not None:
        x, y = result.curve
        if result.null_curves is not None and len(result.null_curves):
            low, middle, high = np.percentile(result.null_curves, [2.5, 50, 97.5], axis=0)
            ax.fill_between(x, low, high, color="0.82", label=f"95 % of {result.n} random maps")
            ax.plot(x, middle, color="0.55", lw=1)
        ax.plot(x, y, color="#c2410c", lw=2, label="this map")
        ax.legend(frameon=False, fontsize=8)
        if result.metric in PROBABILITY:
            ax.set_xlabel("share of cells " + PROBABILITY[result.metric])
            ax.set_ylabel("probability of the target")
            ax.set_ylim(bottom=0)
    elif result.null is not None and len(result.null):
        ax.hist(result.null, bins=20, color="0.82", label=f"{result.n} random maps")
        ax.axvline(result.value, color="#c2410c", lw=2, label="this map")
        ax.legend(frameon=False, fontsize=8)
    p = f", p = {result.p:.2g}" if result.p is not None else ""
    ax.set_title(f"{result.metric} {result.value:.3f} ({result.direction} is better){p}", fontsize=10)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    return ax


def plot_table(result: Table, *, ax: Axes | None) -> Axes:
    """The numeric columns as a heat map, first row at the top."""
    ax = _axes(ax)
    drawn = ax.imshow(result.numbers(), cmap=colormaps[TABLE], aspect="auto")
    unit = next(iter(result.units.values()), "")
    ax.figure.colorbar(drawn, ax=ax, shrink=0.8, label=unit)
    ax.set_xticks(range(len(result.columns) - 1), [c.removeprefix("head ") for c in result.columns[1:]], fontsize=7)
    ax.set_yticks(range(len(result.rows)), [str(row[0]) for row in result.rows], fontsize=7)
    ax.set_title(result.title, fontsize=10)
    return ax


def sheet(panels: Sequence[tuple[str, Array]], *, columns: int, title: str = "") -> Figure:
    """Pictures in a grid, each under its caption; at most `columns` in a row. A `$` in a name is no formula."""
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    height, width = panels[0][1].shape[:2]
    cell = 3.0
    figure = Figure(figsize=(columns * cell, rows * (cell * height / width + 0.3) + (0.35 if title else 0)))
    figure.set_layout_engine("constrained")
    for at, (caption, picture) in enumerate(panels):
        ax = figure.add_subplot(rows, columns, at + 1)
        ax.imshow(picture, interpolation="nearest")
        ax.set_title(caption, fontsize=9, parse_math=False)
        ax.axis("off")
    if title:
        figure.suptitle(title, fontsize=11, parse_math=False)
    return figure


def atlas(tables: Sequence[Table]) -> Figure:
    """Head tables side by side."""
    figure = Figure(figsize=(4.0 * len(tables), 0.32 * max(len(t.rows) for t in tables) + 1.2), layout="constrained")
    for at, table in enumerate(tables):
        plot_table(table, ax=figure.add_subplot(1, len(tables), at + 1))
    return figure


def scores(results: Sequence[Score]) -> Figure:
    """Score curves side by side."""
    figure = Figure(figsize=(4.6 * len(results), 3.4), layout="constrained")
    for at, result in enumerate(results):
        plot_score(result, ax=figure.add_subplot(1, len(results), at + 1))
    return figure


def rgb_parts(parts: Parts, size: tuple[int, int]) -> Array:
    """Components of the first picture as colours at a photo's size."""
    return (resize(as_rgb(parts.values[0]), size) * 255).astype(np.uint8)
