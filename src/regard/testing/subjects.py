"""Run any method of any family on a model and pictures, and look at its values the same way."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from regard.core.edit import Edited
from regard.core.watch import Watch
from regard.layout import Grid
from regard.mechanisms import ALL
from regard.registry import REQUIRED, Card, Chosen, find
from regard.results import Map
from regard.subjects import run as subject_run
from regard.subjects.bank import Draw
from regard.subjects.controls import shuffled_twin
from regard.subjects.evidence import Evidence
from regard.subjects.forward import Subject
from regard.testing.eyes import eyes, paths, photo, recording
from regard.testing.tensors import operands

STEPS, ORDERS = 8, 5
MOST = {
    "forwards": 400,
    "steps": 20,
    "samples": 8,
    "masks": 16,
    "side": 16,
}  # of what is summed: laws hold for any number


@dataclass(frozen=True)
class Outcome:
    """Values [B, ...] whatever the family; higher_is_better for metrics."""

    values: Tensor
    batch: int
    higher_is_better: bool = True


def run(card: Card, model: nn.Module, x: Tensor, *, heatmap: Tensor | None = None, seed: int = 0) -> Outcome:
    """One method through the same machinery that the verbs use; class 1 is the target."""
    return _RUNNERS[card.family](card, model, x, heatmap, seed)


def _probe(card: Card, model: nn.Module, x: Tensor, heatmap: Tensor | None, seed: int) -> Outcome:
    watch = Watch(model, ALL, "*", {"it": card})
    with torch.set_grad_enabled("gradient" in card.subjects), watch as record:
        out = model(x)
        if "gradient" in card.subjects:
            record.backward(out[:, 1])
    return Outcome(record.readings[-1]["it"], len(x))


def _explainer(card: Card, model: nn.Module, x: Tensor, heatmap: Tensor | None, seed: int) -> Outcome:
    few = {o.name: min(o.default, MOST[o.name]) for o in card.options if o.name in MOST and o.default}
    chosen = Chosen(card, functools.partial(card.function, **few), few)
    made = subject_run.explain(chosen, Subject(model, x, ALL), target=1, seed=seed)
    return Outcome(torch.from_numpy(made.values), len(x))


def _metric(card: Card, model: nn.Module, x: Tensor, heatmap: Tensor | None, seed: int) -> Outcome:
    on, method = Subject(model, x, ALL), "given"
    if heatmap is None:
        heatmap = torch.nn.functional.avg_pool2d(x[:, 0], 4)
    explain = None
    if "again" in card.subjects:  # it judges a method by its maps
        chosen = find("explainers", "gradient")
        heatmap, method = run(chosen.card, model, x).values, "gradient"
        explain = functools.partial(subject_run.explain, chosen)
    given = Map(heatmap.numpy(), Grid(*heatmap.shape[1:]), method)
    red = x[0, 0] > 1
    evidence = Evidence(
        on, given, 1, draw=Draw(ORDERS, STEPS, "mean", seed), explain=explain,
        given_region=red if red.any() else torch.arange(red.numel()).view_as(red) < 9,
    )  # fmt: skip
    trained = {"train": functools.partial(shuffled_twin, model)} if any(o.name == "train" for o in card.options) else {}
    scored = subject_run.score(Chosen(card, functools.partial(card.function, **trained), {}), evidence)
    return Outcome(torch.tensor([scored.value]), 1, scored.direction == "higher")


def _object(card: Card, model: nn.Module, x: Tensor, heatmap: Tensor | None, seed: int) -> Outcome:
    parts = subject_run.discover(Chosen(card, card.function, {}), Subject(model, x, ALL))
    return Outcome(torch.from_numpy(parts.values), len(x))


# Values for the options that edits require.
SAMPLES: dict[str, Any] = {"keys": (0, 3), "gain": 2.0, "tau": 2.0, "keep": 5, "bits": 12, "trained": 4}


def _edit(card: Card, model: nn.Module, x: Tensor, heatmap: Tensor | None, seed: int) -> Outcome:
    """The model's output under an edit of all its calls; its record is of a ramp."""
    given: dict[str, Any] = dict(SAMPLES)
    with torch.no_grad(), Watch(model, ALL, "*", ["out", "attention"]) as given["record"]:
        model(torch.linspace(0, 1, x[0].numel()).view_as(x[:1]).to(x))
    given["values"] = torch.linspace(-1, 1, given["record"].readings[0].keys).to(x)
    needed = [o.name for o in card.options if o.default == REQUIRED]
    with torch.no_grad(), Edited(model, ALL, card.function(**{name: given[name] for name in needed}), "*"):
        return Outcome(model(x), len(x))


def _operator(card: Card, model: nn.Module, x: Tensor, heatmap: Tensor | None, seed: int) -> Outcome:
    """On tensors made of the pictures; the model has no part in it."""
    return Outcome(card.function(*operands(card.subjects, x)), len(x))


def _pattern(card: Card, model: nn.Module, x: Tensor, heatmap: Tensor | None, seed: int) -> Outcome:
    """The model's output where all its calls see only what the pattern allows."""
    side = x.shape[-1] // 4
    tokens = side * side + 1
    ramp = torch.linspace(-1, 1, tokens * 4).view(1, 1, tokens, 4).sin()
    given: dict[str, Any] = {
        "queries": Grid(side, side, prefix=1), "window": 3, "size": 4, "block": 4, "before": 2, "tokens": (0, 9),
        "table": torch.eye(4, dtype=torch.bool), "labels": torch.arange(side * side) % 3, "q": ramp, "k": ramp.cos(),
        "allowed": torch.eye(tokens, dtype=torch.bool).roll(1, 0),
    }  # fmt: skip
    needed = [o.name for o in card.options if o.default == REQUIRED]
    mask = card.function(**{name: given[name] for name in needed}).mask()
    with torch.no_grad(), Edited(model, ALL, lambda call: call.biased(mask), "*"):
        return Outcome(model(x), len(x))


def _predictor(card: Card, model: nn.Module, x: Tensor, heatmap: Tensor | None, seed: int) -> Outcome:
    """On the pictures as photos; the model has no part in it."""
    return Outcome(card.function(photo(x)).values, len(x))


def _gaze_metric(card: Card, model: nn.Module, x: Tensor, heatmap: Tensor | None, seed: int) -> Outcome:
    """Of the first picture's redness, or the given map, where people look at what is red."""
    given = eyes(x, heatmap)
    value = card.function(*(given[name] for name in card.subjects))
    return Outcome(value[None], 1, card.gives == "Higher")


def _comparison(card: Card, model: nn.Module, x: Tensor, heatmap: Tensor | None, seed: int) -> Outcome:
    """Of two scanpaths over the pictures."""
    given = paths(x)
    got = card.function(*(given[name] for name in card.subjects))
    return Outcome(torch.atleast_1d(got if isinstance(got, Tensor) else got.values), 1, card.gives != "Lower")


def _foveation(card: Card, model: nn.Module, x: Tensor, heatmap: Tensor | None, seed: int) -> Outcome:
    """On the pictures as photos, looked at in the middle, with options that fit their 32 pixels."""
    side = x.shape[-1]
    given: dict[str, Any] = dict.fromkeys(("x", "polar", "panorama"), photo(x))
    given |= {"fixation": (side / 2, side / 2), "size": (side, side), "gaze": torch.tensor([20.0, 10.0])}
    few = {"fovea": 6.0, "patch": 4, "per_degree": 16.0, "rings": 12, "wedges": 16}
    options = {o.name: few[o.name] for o in card.options if o.name in few}
    got = card.function(*(given[name] for name in card.subjects), **options)
    return Outcome(got if isinstance(got, Tensor) else got.pictures, len(x))


def _stimulus(card: Card, model: nn.Module, x: Tensor, heatmap: Tensor | None, seed: int) -> Outcome:
    """Two pictures of two seeds; what asks for a picture gets the first photo."""
    given = {"x": photo(x)[0], "feature": "orientation", "pair": "Q"}
    made = [card.function(*(given[name] for name in card.subjects), seed=s) for s in (seed, seed + 1)]
    pictures = [_picture(one) for one in made]
    return Outcome(torch.stack(pictures), len(pictures))


def _picture(made: Any) -> Tensor:
    """Of a clip the last frame, of a trial the first copy."""
    made = made[-1] if isinstance(made, list) else made
    picture: Tensor = made[0][0] if isinstance(made, tuple) else made.picture
    return picture


def _event(card: Card, model: nn.Module, x: Tensor, heatmap: Tensor | None, seed: int) -> Outcome:
    """Labels, or positions and durations, of a recording that rests on the reddest places of the first picture."""
    given = recording(x)
    got = card.function(*(given[name] for name in card.subjects))
    values = got if isinstance(got, np.ndarray) else np.column_stack([got.xy, got.duration])
    return Outcome(torch.from_numpy(values)[None].double(), 1)


_RUNNERS = {
    "probes": _probe,
    "edits": _edit,
    "explainers": _explainer,
    "metrics": _metric,
    "objects": _object,
    "operators": _operator,
    "patterns": _pattern,
    "gaze.predictors": _predictor,
    "gaze.metrics": _gaze_metric,
    "gaze.comparisons": _comparison,
    "gaze.foveation": _foveation,
    "gaze.stimuli": _stimulus,
    "gaze.events": _event,
}
