"""Coloured cells of tables of heads, for pages and for the terminal."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from regard.viz.colour import TABLE


class Shade(NamedTuple):
    """The colour of a cell, 0..255, and what can be read on it."""

    red: int
    green: int
    blue: int

    @property
    def fill(self) -> str:
        """As CSS, and as rich, writes it."""
        return f"rgb({self.red},{self.green},{self.blue})"

    @property
    def ink(self) -> str:
        """Black or white."""
        return ink_on(*self)


def ink_on(red: int, green: int, blue: int) -> str:
    """Black or white, whichever stands out more: at least 4.5 to 1 in WCAG's measure, on any colour."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red / 255, green / 255, blue / 255)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "#000" if luminance > 0.179 else "#fff"


def shades(values: NDArray[Any]) -> list[list[Shade | None]]:
    """A colour for each cell `[L, H]` between the smallest and the largest; None where there is no number."""
    there = values[~np.isnan(values)]
    low, high = (float(there.min()), float(there.max())) if there.size else (0.0, 0.0)
    return [
        [None if np.isnan(v) else shade((v - low) / (high - low) if high > low else 0.5) for v in r] for r in values
    ]


def shade(unit: float) -> Shade:
    """The colour of a number in 0..1."""
    red, green, blue = (int(255 * c) for c in colormaps[TABLE](unit)[:3])
    return Shade(red, green, blue)


def text_of(value: float) -> str:
    """At most four characters for numbers under 1000."""
    if np.isnan(value):
        return ""
    return f"{value:.2f}" if abs(value) < 9.995 else f"{value:.1f}" if abs(value) < 99.95 else f"{value:.0f}"
