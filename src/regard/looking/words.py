"""What the numbers say, in sentences whose numbers are read off the tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from regard.layout import Grid
from regard.looking.attention import Attention
from regard.looking.controls import Controls
from regard.results import Map

Level = Literal["good", "note", "warn"]
GATHERED = 2 / 9  # in one ninth: twice its fair share
SPOTS = 0.2  # of the picture, that hold half of the attention


@dataclass(frozen=True)
class Line:
    """One line of the box on trust."""

    level: Level
    what: str
    text: str


def head(at: tuple[int, int]) -> str:
    """Layers and heads are counted from 0, as in their addresses."""
    return f"layer {at[0]} head {at[1]}"


def extremes(seen: Attention) -> dict[str, tuple[int, int]]:
    """The most local, most global, sharpest and most sink-like heads, as (layer, head)."""
    tables = {name: table.numbers() for name, table in seen.tables.items()}
    return {
        "local": _at(tables["distance"], np.nanargmin),
        "global": _at(tables["distance"], np.nanargmax),
        "sharp": _at(tables["entropy"], np.nanargmin),
        "sink": _at(tables["sink_mass"], np.nanargmax),
    }


def _at(values: NDArray[np.float64], which: object) -> tuple[int, int]:
    flat = which(values)  # type: ignore[operator]
    layer, column = np.unravel_index(int(flat), values.shape)
    return int(layer), int(column)


def about_heads(seen: Attention) -> tuple[str, ...]:
    """One sentence for each extreme head, each with the yardstick it is read against."""
    found = extremes(seen)
    tables = {name: table.numbers() for name, table in seen.tables.items()}
    uniform = seen.grid.uniform_distance()
    most_bits = np.log2(seen.grid.tokens)
    sharp = tables["entropy"][found["sharp"]]
    parked = tables["sink_mass"][found["sink"]]
    sink = (
        f"The most sink-like is {head(found['sink'])}: {100 * parked:.0f} % of its attention is parked on tokens "
        "that receive over 10 times their fair share."
        if parked > 0
        else "No head parks attention on sinks: no token receives over 10 times its fair share."
    )
    return (
        f"The most local is {head(found['local'])}: its patches look {tables['distance'][found['local']]:.1f} patches "
        f"away on average; looking everywhere alike would give {uniform:.1f}.",
        f"The most global is {head(found['global'])}: {tables['distance'][found['global']]:.1f} patches away.",
        f"The sharpest is {head(found['sharp'])}: {sharp:.1f} of at most {most_bits:.1f} bits, as if it "
        f"chose among {2**sharp:.0f} tokens.",
        sink,
    )


def concentration(values: NDArray[np.floating], share: float = 0.5) -> float:
    """The smallest part of the cells that holds `share` of a map's mass."""
    ordered = np.sort(np.abs(values).ravel())[::-1]
    held = np.cumsum(ordered) / max(ordered.sum(), 1e-30)
    return float((np.searchsorted(held, share) + 1) / ordered.size)


def ninths(values: NDArray[np.floating], grid: Grid) -> NDArray[np.float64]:
    """The share of a map's mass in each ninth of the picture, `[3, 3]`; a cell across a border counts in parts."""
    weight = np.abs(values) / max(float(np.abs(values).sum()), 1e-30)
    inside: NDArray[np.float64] = _thirds(grid.h) @ weight @ _thirds(grid.w).T
    return inside


def _thirds(n: int) -> NDArray[np.float64]:
    """How much of each of n cells lies in each third, `[3, n]`."""
    low, high = (
        np.maximum.outer(np.arange(3) / 3, np.arange(n) / n),
        np.minimum.outer(np.arange(1, 4) / 3, np.arange(1, n + 1) / n),
    )
    return np.maximum(high - low, 0) * n


def where(values: NDArray[np.floating], grid: Grid) -> str:
    """The ninth of the picture that holds the most of a map, in words."""
    row, column = divmod(int(ninths(values, grid).argmax()), 3)
    if (row, column) == (1, 1):
        return "the centre"
    vertical, sideways = ("top", "middle", "bottom")[row], ("left", "centre", "right")[column]
    return f"the {vertical} {sideways}" if row != 1 else f"the {sideways}"


def lead(seen: Attention) -> str:
    """The first sentence of the report."""
    last = seen.maps()[-1].mean(0)
    subject = "The CLS token's attention" if seen.who == "CLS" else "Attention"
    half = concentration(last)
    if ninths(last, seen.grid).max() >= GATHERED:
        place = f"gathers around {where(last, seen.grid)}"
    else:
        place = "falls on spots in several places" if half <= SPOTS else "spreads over the picture"
    return f"{subject} in the last layer {place}: half of what falls on the picture lies on {100 * half:.0f} % of it."


def about_explanation(heat: Map) -> str:
    """Where the evidence for a class is strongest: values over half the maximum; negative ones speak against it."""
    values = heat.values[0]
    if not values.max() > 0:
        return f"Grad-CAM finds nothing that speaks for {heat.target}."
    strongest = np.where(values >= values.max() / 2, values, 0)
    return f"Grad-CAM for {heat.target} is strongest at {where(strongest, heat.grid)}."


def about_controls(c: Controls, subject: str) -> list[Line]:
    """What the three controls of one map say of it."""
    return [_mirror(c.mirror, subject), _shuffled(c.shuffled, subject), _centre(c.centre, subject)]


def _mirror(rho: float | None, subject: str) -> Line:
    if rho is None:
        return _incomparable("mirror", subject)
    steady = "stable" if rho >= 0.8 else "partly stable" if rho >= 0.5 else "unstable: do not read details"
    text = f"{subject} of the mirrored photo, turned back, agrees to rank correlation {rho:.2f} ({steady})."
    return Line(_level(-rho, -0.8, -0.5), "mirror", text)


def _shuffled(rho: float | None, subject: str) -> Line:
    if rho is None:
        return _incomparable("shuffled weights", subject)
    learnt = (
        "its shape depends on what was learnt."
        if abs(rho) <= 0.3
        else "part of it comes from the architecture and the photo, not from learning."
    )
    text = f"With the network's weights shuffled it correlates {rho:+.2f} with this one: {learnt}"
    return Line(_level(abs(rho), 0.3, 0.6), "shuffled weights", text)


def _centre(rho: float | None, subject: str) -> Line:
    if rho is None:
        return _incomparable("centre", subject)
    framed = "." if rho <= 0.5 else ": so does much of what photographers frame."
    text = f"It correlates {rho:+.2f} with a plain spot in the middle of the picture{framed}"
    return Line(_level(rho, 0.5, 0.7), "centre", text)


def _incomparable(what: str, subject: str) -> Line:
    return Line("note", what, f"{subject} cannot be compared: one of the two maps is the same everywhere.")


def about_object(importance: tuple[float, float]) -> Line:
    """Whether the object found is what people are predicted to find important; given: its mean inside and outside."""
    inside, outside = importance
    ratio = inside / max(outside, 1e-6)
    what = (
        "the two agree."
        if ratio >= 2
        else "the two agree weakly."
        if ratio >= 1.25
        else "the two disagree, and the cut may have taken the background."
    )
    text = f"Predicted importance averages {inside:.2f} inside the object and {outside:.2f} outside: {what}"
    return Line(_level(-ratio, -2, -1.25), "object", text)


def _level(value: float, good: float, note: float) -> Level:
    return "good" if value <= good else "note" if value <= note else "warn"
