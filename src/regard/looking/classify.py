"""What a classifier calls the picture, why, and whether the why beats chance."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from regard.mechanisms import ALL
from regard.registry import find
from regard.results import Map, Score, Table
from regard.subjects import run
from regard.subjects.target import Goal, label

TOP = 5


@dataclass(frozen=True)
class Verdict:
    """The first classes, the explanation of one of them, and its scores against random maps."""

    classes: Table
    target: int
    explanation: Map
    scores: dict[str, Score]


def classify(
    model: nn.Module, x: Tensor, classes: Sequence[str], *, goal: Goal, orders: int, steps: int, seed: int
) -> Verdict:
    """Top classes, Grad-CAM of `goal` (or the first class), deletion and insertion over one bank of random maps."""
    forward = run.Forward(model, x, goal, classes)
    probability = forward.logits.softmax(1)[0]
    best = probability.argsort(descending=True)[:TOP].tolist()
    table = Table(
        columns=("class", "probability", "index"),
        rows=tuple((label(i, classes), float(probability[i]), i) for i in best),
        title="first classes",
    )
    target = forward.target.index[0]
    explanation = explain_class(model, x, classes, target, seed)
    bank = run.bank(forward, x, explanation.grid, orders, steps, "blur", seed)
    shared = forward.count
    scores = {}
    for name in ("deletion", "insertion"):
        card, function, _ = find("metrics", name)
        start = time.perf_counter()
        values = run.score(card, function, explanation, forward, bank)
        scores[name] = run.to_score(values, card, seed, shared, time.perf_counter() - start)
    return Verdict(table, target, explanation, scores)


def explain_class(model: nn.Module, x: Tensor, classes: Sequence[str], target: int, seed: int) -> Map:
    """Grad-CAM of one class."""
    card, function, settings = find("explainers", "gradcam")
    start = time.perf_counter()
    explained = run.explain(model, x, ALL, card, function, target, None, classes, seed)
    return run.to_map(explained, card, settings, seed, time.perf_counter() - start)


def class_map(model: nn.Module, x: Tensor, classes: Sequence[str], target: int) -> NDArray[np.float32]:
    """The same map as `[h, w]`, for controls."""
    with torch.no_grad():
        values: NDArray[np.float32] = explain_class(model, x, classes, target, 0).values[0]
    return values
