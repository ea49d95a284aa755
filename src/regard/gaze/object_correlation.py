"""How well a map (saliency, depth) tells objects from the rest: Pearson's correlation with masks, by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regard.errors import LayoutError
from regard.registry import cards
from regard.results import Table

Array = NDArray[Any]


def object_correlation(maps: Sequence[Array], masks: Sequence[Mapping[str, Array]]) -> Table:
    """Mean over pictures of the correlation of a map with each class's mask, and the mean of these (mA rho).

    maps: one `[h, w]` a picture; masks: {class: mask `[h, w]`} of what it shows, of the same size. A class counts in
    the pictures that show it, and every class counts alike in the mean. A row a class, with how many pictures and what
    share of them it covers; the last row is the mean.

    Source: Bartolo and Seychell 2024, "Correlation of Object Detection Performance with Visual Saliency and Depth
    Estimation". Raises LayoutError where sizes or numbers differ.

    >>> mask = np.eye(4)
    >>> object_correlation([2 * mask], [{"line": mask}]).column("correlation")
    [1.0, 1.0]
    """
    if len(maps) != len(masks) or not any(masks):
        raise LayoutError(f"{len(maps)} maps and masks of {len(masks)} pictures", hint="one {class: mask} a map")
    correlate = cards("gaze.metrics")["cc"].function
    found: dict[str, list[tuple[float, float]]] = {}
    for heat, shown in zip(maps, masks, strict=True):
        for name, mask in shown.items():
            pair = (torch.from_numpy(np.asarray(one, dtype=np.float64)) for one in (heat, mask))
            found.setdefault(name, []).append((float(correlate(*pair)), float(np.mean(mask))))
    rows = [
        (name, len(v), float(np.mean([s for _, s in v])), float(np.mean([r for r, _ in v])))
        for name, v in found.items()
    ]
    whole = ("mean", len(maps), None, float(np.mean([row[3] for row in rows])))
    return Table(
        columns=("class", "pictures", "area", "correlation"), rows=(*rows, whole), title="maps against objects"
    )
