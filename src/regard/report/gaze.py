"""Predicted heat maps of gaze as pictures, with contours, the order of peaks and regions; and all of them as a page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from regard import files
from regard.gaze.regions import regions
from regard.report.html import environment_of_templates
from regard.results import Map


def write(heat: Map, photo: Any, xy: Any, path: Path) -> Path:
    """Draw the first map over its photo `[H, W, 3]`, and a scanpath `[n, 2]` if it has any, whole or not at all."""
    from regard.viz.gaze import plot_gaze, plot_scanpath

    ax = plot_gaze(heat, photo)
    if len(xy):
        plot_scanpath(xy, photo, ax=ax)
    with files.whole(path) as draft:
        ax.figure.savefig(draft, format="png", dpi=150, bbox_inches="tight", pad_inches=0.05)  # type: ignore[union-attr]
    return path


def summary(heat: Map, xy: Any, path: Path, size: tuple[int, int]) -> dict[str, Any]:
    """What the map says about itself, without its values; all places in pixels of the photo of size (height, width)."""
    told = {key: value for key, value in heat.to_dict().items() if key not in ("values", "se")}
    values = heat.values[0] - min(0.0, float(np.min(heat.values[0])))
    scale = (size[1] / heat.grid.w, size[0] / heat.grid.h)
    found = [
        {
            "mass": round(r.mass, 4),
            "area": round(r.area, 4),
            "centre": [round(v * s, 1) for v, s in zip(r.centre, scale, strict=True)],
            "box": [round(v * s) for v, s in zip(r.box, scale * 2, strict=True)],
        }
        for r in (regions(values) if values.max() > values.min() else [])
    ]
    path_told = [[round(float(v), 1) for v in one] for one in xy]
    return {**told, "fixations": path_told, "regions": found, "picture": str(path)}


def page(told: Sequence[dict[str, Any]], folder: Path) -> Path:
    """report.html over the photos that were read: pictures and the regions that hold half of each map's sum."""
    shown = [
        {
            "source": one["source"],
            "picture": "data:image/png;base64," + base64.b64encode(Path(one["picture"]).read_bytes()).decode(),
            "told": _caption(one),
            "rows": [
                (at, f"{100 * r['mass']:.0f} %", f"{100 * r['area']:.1f} %", *(f"{v:.0f}" for v in r["centre"]))
                for at, r in enumerate(one["regions"], 1)
            ],
        }
        for one in told
        if "error" not in one
    ]
    first = next(one for one in told if "error" not in one)
    template = environment_of_templates().get_template("gaze.html")
    text = template.render(shown=shown, method=first["method"], density=first["unit"] == "density")
    return files.write_text(folder / "report.html", text)


def _caption(one: dict[str, Any]) -> str:
    held = sum(r["area"] for r in one["regions"])
    return f"half of the map, on {100 * held:.1f} % of the photo; places in its pixels"
