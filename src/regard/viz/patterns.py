"""A query and the keys that it sees, where they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNSEEN, SEEN, SELF = "#e5e7eb", "#60a5fa", "#c2410c"


def plot_pattern(
    seen: NDArray[np.bool_], axes: tuple[int, ...], query: int | None, title: str, *, ax: Axes | None = None
) -> Axes:
    """Keys that are seen, on a row, a grid, or (three axes) a row of grids; and the query, if it is one of them."""
    if ax is None:
        ax = Figure(figsize=(4.5, 4), layout="constrained").add_subplot()
    shown = seen.astype(float)
    if query is not None:
        shown[query] = 2.0
    picture = _flat(shown, axes)
    ax.imshow(picture, cmap=ListedColormap([UNSEEN, SEEN, SELF]), vmin=0, vmax=2, interpolation="nearest")
    ax.set_title(title, fontsize=9, parse_math=False)
    ax.axis("off")
    return ax


def _flat(values: NDArray[Any], axes: tuple[int, ...]) -> NDArray[Any]:
    """Frames of a video go side by side, a gap (NaN, drawn white) between them."""
    if len(axes) < 3:
        return values.reshape(-1, axes[-1])
    framed = np.pad(values.reshape(axes), ((0, 0), (0, 0), (0, 1)), constant_values=np.nan)
    return np.concatenate(list(framed), axis=1)[:, :-1]
