"""Regions that a predicted map singles out: what its contour encloses, piece by piece."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regard.errors import LayoutError

Array = NDArray[Any]
EIGHT = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Region:
    """A piece of what the contour encloses, in pixels of the map.

    mass: its share of the map's sum (of looks, where the map is a density) · area: its share of the picture · centre
    (x, y): weighed by the map · box: left, top, right, bottom, right and bottom outside.
    """

    mass: float
    area: float
    centre: tuple[float, float]
    box: tuple[int, int, int, int]


def regions(heat: Array, *, share: float = 0.5, least: float = 0.01) -> list[Region]:
    """The pieces (8-connected) of the smallest set that holds `share` of the map's sum, the heaviest first.

    heat [h, w], none negative. Pieces of less than `least` of the sum are left out. Raises LayoutError for other maps
    and shares that are none.

    >>> heat = np.zeros((4, 8)); heat[1, 1] = 3.0; heat[2, 5:7] = 0.5
    >>> [(r.mass, r.centre) for r in regions(heat, share=1.0)]
    [(0.75, (1.5, 1.5)), (0.25, (6.0, 2.5))]
    """
    heat = np.asarray(heat, dtype=np.float64)
    if heat.ndim != 2 or not heat.size or heat.min() < 0 or not 0 < share <= 1 or not heat.sum() > 0:
        raise LayoutError(
            f"a map {list(heat.shape)} and share={share}", hint="[h, w], none negative, some above 0; 0 < share <= 1"
        )
    total = heat.sum()
    order = np.sort(heat.ravel())[::-1]
    level = order[min(int(np.searchsorted(np.cumsum(order), share * total * (1 - 1e-12))), order.size - 1)]
    labels, count = ndimage.label((heat >= level) & (heat > 0), structure=EIGHT)
    numbers = np.arange(1, count + 1)
    masses = ndimage.sum_labels(heat, labels, numbers) / total
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:] / heat.size
    centres = ndimage.center_of_mass(heat, labels, numbers)
    boxes = ndimage.find_objects(labels)
    made = [
        Region(
            float(masses[i]), float(areas[i]), (float(centres[i][1]) + 0.5, float(centres[i][0]) + 0.5),
            (boxes[i][1].start, boxes[i][0].start, boxes[i][1].stop, boxes[i][0].stop),
        )
        for i in range(count) if masses[i] >= least
    ]  # fmt: skip
    return sorted(made, key=lambda region: -region.mass)
