"""What a classifier calls the picture, why, and whether the why beats chance."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from regard.errors import DegenerateError
from regard.registry import find
from regard.results import Map, Score, Table
from regard.subjects import run
from regard.subjects.bank import Draw
from regard.subjects.evidence import Evidence
from regard.subjects.forward import Forward, Subject
from regard.subjects.target import Goal, label

TOP = 5


@dataclass(frozen=True)
class Verdict:
    """The first classes, the explanation of one of them, and its scores against random maps."""

    classes: Table
    target: int
    explanation: Map
    scores: dict[str, Score]


def classify(on: Subject, *, goal: Goal, draw: Draw) -> Verdict:
    """Top classes, Grad-CAM of `goal` (or the first class), deletion and insertion over one bank of random maps."""
    forward = Forward(on, goal)
    probability = forward.logits.softmax(1)[0]
    best = probability.argsort(descending=True)[:TOP].tolist()
    table = Table(
        columns=("class", "probability", "index"),
        rows=tuple((label(i, on.classes), float(probability[i]), i) for i in best),
        title="first classes",
    )
    target = forward.target.index[0]
    explanation = run.explain(find("explainers", "gradcam"), on, target=target)
    scores: dict[str, Score] = {}
    with suppress(DegenerateError):  # the map ranks nothing: its own warning tells so
        evidence = Evidence(on, explanation, target, draw=draw)
        scores = {name: run.score(find("metrics", name), evidence) for name in ("deletion", "insertion")}
    return Verdict(table, target, explanation, scores)


def class_map(on: Subject, target: int) -> NDArray[np.float32]:
    """The same explanation as `[h, w]`, for controls."""
    values: NDArray[np.float32] = run.explain(find("explainers", "gradcam"), on, target=target).values[0]
    return values
