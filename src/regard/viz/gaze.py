"""Where people look: a heat map with contours that say how much of the picture they enclose, and scanpaths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from regard.viz.colour import as_bytes, overlay, resize

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from regard.results import Map

Array = NDArray[Any]
SHARES = (20, 10, 5)  # per cent of the picture, of a map of saliency
LOOKS = (75, 50, 25)  # per cent of the looks, of a density
PATH, LINE = "#22d3ee", "#ffffff"


def _axes(photo: Array, ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    height, width = photo.shape[:2]
    return Figure(figsize=(6.0, 6.0 * height / width + 0.4), layout="constrained").add_subplot()


def plot_gaze(heat: Map, photo: Array, *, ax: Axes | None = None, shares: tuple[int, ...] | None = None) -> Axes:
    """The first map over a photo `[H, W, 3]`; each contour encloses the per cent of the picture that stand highest.

    Of a density the contours enclose the per cent of looks that it foretells, on the least area. Other maps are no
    probability, so theirs speak of area and not of the share of looks.
    """
    density = heat.unit == "density"
    shares = shares or (LOOKS if density else SHARES)
    picture = as_bytes(np.asarray(photo))
    ax = _axes(picture, ax)
    values = resize(heat.values[0], (picture.shape[0], picture.shape[1]), smooth=True)
    ax.imshow(overlay(picture, values - values.min(), smooth=True))
    at = _least_area if density else _highest
    levels = {at(values, share): share for share in sorted(shares, reverse=True)}
    if min(levels) < values.max() and len(levels) == len(shares):  # a flat map has no contours
        ax.contour(values, levels=list(levels), colors=LINE, linewidths=_widths(len(levels)))
        _legend(ax, list(levels.values()))
    told = ", ".join(f"{s} %" for s in sorted(shares))
    ax.set_title(f"{heat.method}: {f'{told} of looks' if density else f'highest {told} of the picture'}", fontsize=10)
    ax.axis("off")
    return ax


def _widths(count: int) -> list[float]:
    """Of lines, from the largest share to the smallest."""
    return np.linspace(0.8, 2.4, count).tolist()


def _legend(ax: Axes, shares: list[int]) -> None:
    """Which line encloses which share: told beside them, for labels on small contours hide more than they say."""
    from matplotlib.lines import Line2D

    widths = zip(shares, _widths(len(shares)), strict=True)
    lines = [Line2D([], [], color=LINE, lw=width, label=f"{share} %") for share, width in widths]
    box = {"facecolor": "#0f172a", "edgecolor": "none", "framealpha": 0.7, "labelcolor": LINE}
    ax.legend(handles=lines[::-1], loc="lower right", fontsize=9, borderaxespad=0.6, **box)


def _highest(values: Array, share: int) -> float:
    """The value that so many per cent of all values exceed."""
    return float(np.percentile(values, 100 - share))


def _least_area(values: Array, share: int) -> float:
    """The value above which so many per cent of the sum lie."""
    order = np.sort(values.ravel())[::-1]
    held = np.cumsum(order) / order.sum()
    return float(order[min(int(np.searchsorted(held, share / 100)), order.size - 1)])


def plot_scanpath(xy: Array, photo: Array, *, ax: Axes | None = None, seconds: Array | None = None) -> Axes:
    """Fixations `[n, 2]` in pixels of a photo, numbered from 1 and joined; discs grow with the time if it is known."""
    picture = as_bytes(np.asarray(photo))
    fresh = ax is None
    ax = _axes(picture, ax)
    if fresh:
        ax.imshow((0.6 * picture + 40).astype(np.uint8))
    known = seconds is not None and bool(np.isfinite(seconds).all())
    area = 160 * np.asarray(seconds) / np.mean(np.asarray(seconds)) if known else 160.0
    ax.plot(xy[:, 0], xy[:, 1], color=PATH, lw=1.5)
    ax.scatter(xy[:, 0], xy[:, 1], s=area, color=PATH, edgecolors="#0f172a", zorder=3)
    for at, (x, y) in enumerate(xy, 1):
        ax.text(x, y, str(at), ha="center", va="center", fontsize=8, color="#0f172a", zorder=4)
    ax.axis("off")
    return ax
