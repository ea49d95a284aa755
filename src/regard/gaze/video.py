"""Video: scores frame by frame, averaged over frames and then over clips, and the average of ranks over metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from regard.errors import LayoutError
from regard.gaze.card import Judge
from regard.gaze.conventions import convention as named
from regard.gaze.data import Fixations
from regard.registry import cards
from regard.results import Table

Array = NDArray[Any]


def video_scores(frames: Array, seen: Sequence[Fixations], *, convention: str = "aim2024") -> dict[str, float]:
    """Each metric of a clip's maps `[T, height, width]`: the mean over the frames that anybody looked at.

    seen: the fixations of each frame, their `size` that of the maps. Raises LayoutError where the numbers differ.
    """
    if len(frames) != len(seen):
        raise LayoutError(f"{len(frames)} maps for {len(seen)} frames", hint="one map a frame")
    rule = named(convention)
    found = []
    for heat, eyes in zip(frames, seen, strict=True):
        there = eyes.inside()
        assert there.size is not None
        if len(there):
            found.append(Judge(rule, rule.blur(there.size, there.per_degree)).scores(heat, there))
    if not found:
        raise LayoutError("nobody looked at any frame", hint="fixations of each frame, in its pixels")
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def video_ranking(
    models: Mapping[str, Mapping[str, Array]],
    clips: Mapping[str, Sequence[Fixations]],
    *,
    convention: str = "aim2024",
) -> Table:
    """Models by the mean of their ranks over the metrics, as AIM 2024 has it; the best first.

    models: {model: {clip: maps [T, height, width]}}, every clip of `clips`. Scores are means over frames, then over
    clips; on each metric models are ranked from 1, equal ones sharing the mean of their places.

    Source: Moskalenko et al. 2024, "AIM 2024 Challenge on Video Saliency Prediction".
    """
    missing = [(m, c) for m, maps in models.items() for c in clips if c not in maps]
    if missing:
        raise LayoutError(
            f"model '{missing[0][0]}' has no maps for clip '{missing[0][1]}'", hint="every clip, all models"
        )
    if not models:
        raise LayoutError("no model to rank", hint="{model: {clip: maps}}")
    scores: dict[str, dict[str, float]] = {}
    for model, maps in models.items():
        every = [video_scores(maps[clip], seen, convention=convention) for clip, seen in clips.items()]
        scores[model] = {name: float(np.mean([one[name] for one in every])) for name in every[0]}
    columns = named(convention).metrics
    ranks = mean_ranks(scores, {name: cards("gaze.metrics")[columns[name][0]].gives == "Higher" for name in every[0]})
    order = sorted(models, key=lambda model: ranks[model])
    names = tuple(scores[order[0]])
    rows = tuple((model, ranks[model], *(scores[model][name] for name in names)) for model in order)
    return Table(columns=("model", "mean rank", *names), rows=rows, title=f"{convention}, {len(clips)} clips")


def mean_ranks(scores: Mapping[str, Mapping[str, float]], higher: Mapping[str, bool]) -> dict[str, float]:
    """Each model's mean rank over metrics, 1 the best; equal scores share the mean of their places.

    >>> mean_ranks({"a": {"CC": 0.9}, "b": {"CC": 0.9}, "c": {"CC": 0.1}}, {"CC": True})
    {'a': 1.5, 'b': 1.5, 'c': 3.0}
    """
    models = list(scores)
    table = np.array([[scores[m][name] * (-1 if up else 1) for name, up in higher.items()] for m in models])
    return dict(zip(models, rankdata(table, axis=0).mean(1).tolist(), strict=True))
