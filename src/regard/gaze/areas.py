"""Areas of interest: how long, how soon and how often people looked at boxes or masks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regard.errors import LayoutError
from regard.gaze.data import Fixations, Scanpath

Array = NDArray[Any]
Box = tuple[float, float, float, float]  # left, top, right, bottom in pixels; right and bottom are outside
ELSEWHERE = "elsewhere"


def labels_of(path: Scanpath, areas: Mapping[str, Any]) -> list[str]:
    """The area of each fixation: the first that holds it, else `elsewhere`.

    >>> labels_of(Scanpath([[1.0, 1.0], [9.0, 9.0]], [0.1, 0.1]), {"left": (0, 0, 5, 5)})
    ['left', 'elsewhere']
    """
    return [next((name for name, area in areas.items() if _holds(area, x, y)), ELSEWHERE) for x, y in path.xy.tolist()]


def area_rows(seen: Fixations, areas: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    """Columns and one row an area, means over viewings; times in seconds, from the first fixation's start.

    dwell: time in the area · share: of all fixation time · first: time to its first fixation, over the viewings that
    have one · seen by: share of viewings with a fixation in it · visits: runs of fixations in it · revisits: visits
    after the first. Durations must be known. Raises LayoutError for bad areas.
    """
    _check(areas)
    columns = ("area", "fixations", "dwell", "share", "first", "seen by", "visits", "revisits")
    paths = seen.paths()
    told = [(labels_of(p, areas), p.duration) for p in paths]
    rows = []
    for name in (*areas, ELSEWHERE):
        hits = [np.array([one == name for one in labels], dtype=bool) for labels, _ in told]
        dwell = [float(time[hit].sum()) for hit, (_, time) in zip(hits, told, strict=True)]
        whole = sum(float(time.sum()) for _, time in told)
        first = [float(time[: int(hit.argmax())].sum()) for hit, (_, time) in zip(hits, told, strict=True) if hit.any()]
        visits = [int((hit & ~np.concatenate([[False], hit[:-1]])).sum()) for hit in hits]
        rows.append(
            (
                name,
                sum(int(hit.sum()) for hit in hits),
                float(np.mean(dwell)),
                sum(dwell) / whole if whole else float("nan"),
                float(np.mean(first)) if first else None,
                float(np.mean([hit.any() for hit in hits])),
                float(np.mean(visits)),
                float(np.mean([max(0, v - 1) for v in visits])),
            )
        )
    return columns, rows


def transitions(seen: Fixations, areas: Mapping[str, Any]) -> tuple[tuple[str, ...], Array]:
    """How often a fixation in one area (row) is followed by one in another (column), with the names.

    >>> eyes = Fixations([[1.0, 1.0], [9.0, 9.0], [2.0, 2.0]])
    >>> transitions(eyes, {"a": (0, 0, 5, 5), "b": (5, 5, 10, 10)})[1].tolist()
    [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    """
    _check(areas)
    names = (*areas, ELSEWHERE)
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    for path in seen.paths():
        at = [names.index(one) for one in labels_of(path, areas)]
        np.add.at(counts, (at[:-1], at[1:]), 1)
    return names, counts


def _holds(area: Any, x: float, y: float) -> bool:
    if isinstance(area, np.ndarray) and area.ndim == 2:
        return 0 <= x < area.shape[1] and 0 <= y < area.shape[0] and bool(area[int(y), int(x)])
    left, top, right, bottom = area
    return bool(left <= x < right and top <= y < bottom)


def _check(areas: Mapping[str, Any]) -> None:
    for name, area in areas.items():
        if isinstance(area, np.ndarray) and area.ndim == 2:
            continue
        if len(area) != 4 or not (area[0] < area[2] and area[1] < area[3]):
            raise LayoutError(f"the area '{name}' is {area}", hint="(left, top, right, bottom) in pixels, or a mask")
