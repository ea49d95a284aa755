"""Figures of results about heads: the atlas, the plane of queries and keys, groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from regard.viz.colour import TABLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from regard.atlas import Atlas, HeadGroups, Joint

GROUPS = "tab10"
QUERY, KEY = "#0d9488", "#db2777"  # teal and pink, in the page too


def colour_of(group: int) -> str:
    """The colour of a group, as figures and pages have it; after ten they begin again."""
    return str(to_hex(colormaps[GROUPS](group % 10)))


def _axes(ax: Axes | None, layers: int, heads: int) -> Axes:
    size = (0.42 * heads + 2.6, 0.3 * layers + 1.3)
    return Figure(figsize=size, layout="constrained").add_subplot() if ax is None else ax


def _ticks(ax: Axes, addresses: tuple[str, ...], heads: int) -> None:
    ax.set_xticks(range(heads), [str(h) for h in range(heads)], fontsize=7)
    ax.set_yticks(range(len(addresses)), addresses, fontsize=7)
    ax.set_xlabel("head", fontsize=8)


def plot_atlas(result: Atlas, *, ax: Axes | None) -> Axes:
    """Layers x heads as a heat map, the two extremes outlined."""
    layers, heads = result.values.shape
    ax = _axes(ax, layers, heads)
    drawn = ax.imshow(np.ma.masked_invalid(result.values), cmap=colormaps[TABLE], aspect="auto")
    ax.figure.colorbar(drawn, ax=ax, shrink=0.8, label=result.unit)
    for (layer, head), colour in ((result.lowest, "#f97316"), (result.highest, "#dc2626")):
        ax.add_patch(Rectangle((head - 0.5, layer - 0.5), 1, 1, fill=False, edgecolor=colour, linewidth=2))
    _ticks(ax, result.addresses, heads)
    several = f", mean of {len(result.pictures)} pictures" if len(result.pictures) > 1 else ""
    ax.set_title(f"{result.probe}{several}", fontsize=10)
    return ax


def plot_joint(result: Joint, *, ax: Axes | None) -> Axes:
    """Queries and keys in their two colours; prefix tokens ringed."""
    ax = Figure(figsize=(5, 5), layout="constrained").add_subplot() if ax is None else ax
    prefix = np.array([result.token[i] < result.grids[int(p)].prefix for i, p in enumerate(result.picture)], dtype=bool)
    for name, of, colour in (("queries", ~result.key.astype(bool), QUERY), ("keys", result.key.astype(bool), KEY)):
        x, y = result.points[of].T
        ax.scatter(x, y, s=6, alpha=0.5, color=colour, linewidths=0, label=name)
        x, y = result.points[of & prefix].T
        ax.scatter(x, y, s=40, facecolors="none", edgecolors=colour)
    ax.legend(frameon=False, fontsize=8, markerscale=2)
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_title(f"{result.address} head {result.head}: {100 * result.explained:.0f} % of the variance", fontsize=10)
    ax.tick_params(labelsize=7)
    return ax


def plot_groups(result: HeadGroups, *, ax: Axes | None) -> Axes:
    """Layers x heads, each in the colour of its group and with its number."""
    layers, heads = result.labels.shape
    ax = _axes(ax, layers, heads)
    colours = [[to_rgb(colour_of(int(g))) for g in row] for row in result.labels]
    ax.imshow(np.array(colours), aspect="auto")
    for layer, head in np.ndindex(layers, heads):
        ax.text(head, layer, str(result.labels[layer, head]), ha="center", va="center", fontsize=7)
    _ticks(ax, result.addresses, heads)
    ax.set_title("\n".join(f"{i}: {name}" for i, name in enumerate(result.names)), fontsize=8, loc="left")
    return ax
