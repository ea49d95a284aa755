"""`describe_map`: a map in a sentence or two, whose numbers are those of the map."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from regard.errors import DegenerateError, LayoutError
from regard.results import Map

ROWS, COLUMNS = ("upper", "middle", "lower"), ("left", "centre", "right")
PLACES = tuple("the centre" if (r, c) == ("middle", "centre") else f"the {r} {c}" for r in ROWS for c in COLUMNS)
Shares = NDArray[np.float64]


def describe_map(heatmap: Map, *, index: int = 0, coverage: float = 0.5) -> str:
    """Which ninths of the picture hold most of map `index`, and how much of it, for the target and against it.

    Positive values are one whole, negative ones another. Of each the fewest places are named that together hold at
    least `coverage`, largest first; a value on a border between thirds counts in both by area. Shares are rounded to
    whole per cent. Raises LayoutError for a map that is not there, DegenerateError for one that is empty or not finite.

    >>> import numpy as np, regard as rg
    >>> values = np.zeros((1, 3, 3)); values[0, 0, 0], values[0, 1, 1], values[0, 2, 2] = 3, 1, -1
    >>> print(rg.Map(values, rg.Grid(3, 3), "rise", target="tabby").describe())
    For tabby speaks the upper left (75 %): 75 % of what is positive. Against it: the lower right (100 %): 100 %.
    """
    if not -len(heatmap.values) <= index < len(heatmap.values) or not 0 < coverage <= 1:
        raise LayoutError(
            f"map {index} of {len(heatmap.values)}, coverage {coverage}", hint="a map that is there; 0 < coverage <= 1"
        )
    values = np.asarray(heatmap.values[index], dtype=np.float64)
    if not np.isfinite(values).all() or not values.any():
        raise DegenerateError("a map without values cannot be described", hint="see Map.warnings")
    said = []
    for part, opening, ending in (
        (values.clip(min=0), f"For {heatmap.target or 'it'} speaks", " of what is positive"),
        ((-values).clip(min=0), "Against it:", ""),
    ):
        if part.any():
            shares = shares_of_places(part)
            chosen = fewest(shares, coverage)
            listed = ", ".join(f"{PLACES[i]} ({100 * shares[i]:.0f} %)" for i in chosen)
            said.append(f"{opening} {listed}: {100 * shares[chosen].sum():.0f} %{ending}.")
    return " ".join(said)


def shares_of_places(part: Shares) -> Shares:
    """The share of a map without negative values in each ninth of the picture, row by row."""
    down, across = (_thirds(n) for n in part.shape)
    made: Shares = (down @ part @ across.T).ravel() / part.sum()
    return made


def _thirds(n: int) -> Shares:
    """How much of each of n entries in a row lies in each third of it, `[3, n]`."""
    edges = np.arange(4)[:, None] * n / 3
    at = np.arange(n)
    shared: Shares = (np.minimum(edges[1:], at + 1) - np.maximum(edges[:-1], at)).clip(min=0)
    return shared


def fewest(shares: Shares, coverage: float) -> list[int]:
    """The fewest places that hold at least this share together, largest first; of as many, those that hold most."""
    order = np.argsort(-shares, kind="stable")
    held = np.cumsum(shares[order])
    count = 1 + int(np.searchsorted(held, coverage - 1e-12))  # sums round
    return [int(i) for i in order[: min(count, len(order))]]
