"""`why_degenerate`: maps that carry no information are named, never silently stretched to look like some."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from regard.errors import DegenerateError

ONE_CELL = 0.5  # a map with over half of its mass in one cell shows that cell and little else


def why_degenerate(values: NDArray[np.floating]) -> str | None:
    """A reason in words if the map `[h, w]` is blank, constant, broken or all in one cell; else None."""
    if not np.isfinite(values).all():
        return f"{int((~np.isfinite(values)).sum())} of {values.size} values are NaN or infinite"
    low, high = float(values.min()), float(values.max())
    if low == high:
        return "all values are 0" if high == 0 else f"all values are {high:.3g}"
    scale = max(abs(low), abs(high))
    if high - low < 1e-5 * scale:
        return f"values differ by {(high - low) / scale:.1e} of their size"
    mass = np.abs(values)
    share = float(mass.max() / mass.sum())
    if values.size > 4 and share > ONE_CELL:
        return f"one of {values.size} cells holds {100 * share:.0f} % of the mass"
    return None


def check_finite(values: NDArray[np.floating]) -> None:
    """Refuse a map with NaN or infinite values: comparisons with NaN are false, so chance would seem to be beaten."""
    broken = int((~np.isfinite(values)).sum())
    if broken:
        raise DegenerateError(
            f"the map has NaN or infinite values: {broken} of {values.size}",
            hint="mend what made it (a division by 0, an overflow in half precision), then score it",
        )


def check_ranks(values: Tensor) -> None:
    """Refuse a constant map where its order is asked for: reading order would be scored in its place."""
    low, high = float(values.min()), float(values.max())
    if low == high:
        raise DegenerateError(
            f"all values are {high:.3g}: the map ranks nothing",
            hint="a map with a highest place; .warnings of a regard.Map often tells why there is none",
        )
