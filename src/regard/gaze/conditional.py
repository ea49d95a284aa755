"""Scores of a model that says, before every fixation, where the next one will be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.errors import DegenerateError, LayoutError
from regard.gaze.data import Scanpath

Array = NDArray[Any]


def conditional(maps: Array, path: Scanpath, *, baseline: Array | None = None) -> dict[str, Array]:
    """cAUC, cNSS and, with a baseline, cIG of each fixation given those before it, `[n]` each.

    cAUC: share of all other pixels strictly lower than the fixated one, so that ties count against the model (a flat
    map has 0, where AUC has 1/2) · cNSS: (s - mean) / std of the map; a flat one has 0 · cIG: log2 p - log2 p_baseline
    in bits, of densities. NaN fixations and those outside the picture have NaN in all three: no map can be asked there.

    maps [n, h, w]: the i-th was made knowing fixations 0 to i - 1 only; path: n fixations in pixels of the maps;
    baseline [h, w] or [n, h, w]. Raises LayoutError for other shapes, DegenerateError for what is no density, for maps
    that are not finite, and where no fixation can be scored. Source: the conditional metrics of Yang et al. 2022
    (target-absent search) and Kümmerer and Bethge 2021.

    >>> maps = np.array([[[0.1, 0.2], [0.3, 0.4]]])
    >>> {k: v.round(3).tolist() for k, v in conditional(maps, Scanpath([[1.5, 1.5]], [0.2])).items()}
    {'cAUC': [1.0], 'cNSS': [1.342]}
    """
    if maps.ndim != 3 or len(maps) != len(path):
        raise LayoutError(f"maps {list(maps.shape)} for {len(path)} fixations", hint="one map [h, w] for each")
    if not np.isfinite(maps).all():
        raise DegenerateError("maps with NaN or infinite values", hint="finite numbers")
    n, h, w = maps.shape
    x, y = np.floor(path.xy).T
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)  # NaN compares false
    if not inside.any():
        raise DegenerateError("no fixation lies inside the picture", hint="check the size of the maps and the units")
    at = np.where(inside, y * w + x, 0).astype(np.int64)
    flat = maps.reshape(n, -1).astype(np.float64)
    hit = np.take_along_axis(flat, at[:, None], 1)
    spread = flat.std(1)
    found = {"cAUC": (flat < hit).sum(1) / (h * w - 1)}
    level = spread <= 8 * np.finfo(np.float64).eps * np.abs(flat.mean(1))
    found["cNSS"] = np.where(level, 0.0, (hit[:, 0] - flat.mean(1)) / np.where(level, 1.0, spread))
    if baseline is not None:
        known = np.broadcast_to(np.asarray(baseline, dtype=np.float64), maps.shape).reshape(n, -1)
        for name, density in (("a map", flat), ("the baseline", known)):
            if density.min() < 0 or np.abs(density.sum(1) - 1).max() > 1e-3:
                raise DegenerateError(f"{name} is no density", hint="probabilities that sum to 1")
        with np.errstate(divide="ignore"):
            found["cIG"] = np.log2(hit[:, 0]) - np.log2(np.take_along_axis(known, at[:, None], 1)[:, 0])
    return {name: np.where(inside, values, np.nan) for name, values in found.items()}
