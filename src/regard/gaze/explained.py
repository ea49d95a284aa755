"""Where a model looks against where people look: explanation maps of many methods scored on fixations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regard.errors import DegenerateError, LayoutError
from regard.gaze.card import Judge, people
from regard.gaze.conventions import convention as named
from regard.gaze.data import Fixations
from regard.gaze.maps import centre_prior
from regard.results import Table
from regard.subjects.statistics import bca

Box = tuple[float, float, float, float]
COLUMNS = ("metric", "map", "n", "mean", "low", "high", "over the centre prior")
METRICS = ("NSS", "AUC", "sAUC", "CC")  # signed maps are no densities: KL, SIM and IG would score their shift
CONTROLS = ("people", "centre prior")


def explained(
    maps: Mapping[str, Mapping[str, Any]],
    boxes: Mapping[str, Box],
    fixations: Fixations,
    *,
    convention: str = "tuebingen",
    seed: int = 0,
) -> Table:
    """NSS, AUC, shuffled AUC and CC of each method's maps on the fixations that fall into what the model saw.

    maps: {picture: {method: [h, w] on any grid}}; boxes: {picture: (left, top, right, bottom)} in pixels of the
    picture, the part of it that the model saw, the same for all. One row a metric and map, best first: mean and BCa
    interval over pictures, and how much more than the centre prior of the other pictures (three at least). people:
    half of the observers on the other half. Maps are enlarged to the box (bilinear), which coarse grids feel.

    Raises LayoutError for boxes that differ, DegenerateError where no picture has maps and fixations.

    >>> eyes = Fixations([[5.0, 5.0], [15.0, 5.0]], image=["a", "b"], size=(10, 20), per_degree=2.0)
    >>> found = {"a": {"left": np.eye(1, 2)}, "b": {"left": np.eye(1, 2)}}
    >>> told = explained(found, dict.fromkeys("ab", (0.0, 0.0, 20.0, 10.0)), eyes)
    >>> [(row[0], row[1], row[2]) for row in told.rows]
    [('NSS', 'left', 2), ('AUC', 'left', 2), ('sAUC', 'left', 2), ('CC', 'left', 2)]
    """
    names = [name for name in fixations.images if name in maps]
    if not names:
        raise DegenerateError(
            f"no picture has both maps and fixations: people looked at {fixations.images[:3]}",
            hint="name the photos as the fixations do",
        )
    if len({boxes[name] for name in names}) > 1:
        raise LayoutError("the model saw different parts of the pictures", hint="photos of one size")
    there = _within(fixations, boxes[names[0]])
    assert there.size is not None
    rule = named(convention)
    rule = replace(rule, metrics={m: found for m, found in rule.metrics.items() if m in METRICS})
    blur = rule.blur(there.size, there.per_degree)
    wide = centre_prior(there).bandwidth if len(there.images) > 2 else None
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name in [one for one in names if one in there.images]:
        own, others = there.on(name), there.where(there.image != name)
        judge = Judge(rule, blur, torch.from_numpy(others.xy) if len(others) else None)
        shown = {method: judge.scores(_enlarged(values, there.size), own) for method, values in maps[name].items()}
        if len(own.observers) > 1:
            shown["people"] = people(judge, own, "half-split", seed)
        if wide is not None:
            shown["centre prior"] = judge.scores(centre_prior(there, leave_out=name, bandwidth=wide).density, own)
        for method, scores in shown.items():
            for metric, value in scores.items():
                found.setdefault(metric, {}).setdefault(method, {})[name] = value
    rows = [row for metric in METRICS if metric in found for row in _ranked(metric, found[metric], seed)]
    title = f"{len(names)} pictures, {len(there)} fixations, {rule.name}, blur {blur:.3g} px"
    return Table(columns=COLUMNS, rows=tuple(rows), title=title)


def _within(fixations: Fixations, box: Box) -> Fixations:
    """The fixations inside a box, in its own pixels."""
    left, top, right, bottom = box
    moved = replace(fixations, xy=fixations.xy - np.array([left, top]), size=(round(bottom - top), round(right - left)))
    return moved.inside()


def _enlarged(values: Any, size: tuple[int, int]) -> NDArray[np.float64]:
    given = torch.as_tensor(np.asarray(values, dtype=np.float64))[None, None]
    return torch.nn.functional.interpolate(given, size, mode="bilinear", align_corners=False)[0, 0].numpy()


def _ranked(metric: str, found: Mapping[str, Mapping[str, float]], seed: int) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    centre = found.get("centre prior", {})
    for method, by_picture in found.items():
        values = np.array(list(by_picture.values()))
        low, high = bca(values, seed=seed) if len(values) > 1 else (None, None)
        gaps = [value - centre[name] for name, value in by_picture.items() if name in centre]
        rows.append((
            metric, method, len(values), float(values.mean()), low, high, float(np.mean(gaps)) if gaps else None
        ))  # fmt: skip
    return sorted(rows, key=lambda row: -row[3])
