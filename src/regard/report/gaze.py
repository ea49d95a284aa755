"""A predicted heat map of gaze as a picture, with its contours and the order in which peaks would be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from regard import files
from regard.results import Map


def write(heat: Map, photo: Any, xy: Any, path: Path) -> Path:
    """Draw the first map over its photo `[H, W, 3]`, and a scanpath `[n, 2]` if it has any, whole or not at all."""
    from regard.viz.gaze import plot_gaze, plot_scanpath

    ax = plot_gaze(heat, photo)
    if len(xy):
        plot_scanpath(xy, photo, ax=ax)
    with files.whole(path) as draft:
        ax.figure.savefig(draft, format="png", dpi=150)  # type: ignore[union-attr]
    return path


def summary(heat: Map, xy: Any, path: Path) -> dict[str, Any]:
    """What the map says about itself, without its values; fixations in pixels of the photo."""
    told = {key: value for key, value in heat.to_dict().items() if key not in ("values", "se")}
    return {**told, "fixations": [[round(float(v), 1) for v in one] for one in xy], "picture": str(path)}
