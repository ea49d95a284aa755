"""Run any method of any family on a model and pictures, and look at its values the same way."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from regard.core.watch import Plan, Probe, Watch
from regard.layout import Grid
from regard.mechanisms import ALL
from regard.registry import Card, Chosen
from regard.results import Map
from regard.subjects import run as subject_run
from regard.subjects.bank import Draw
from regard.subjects.forward import Forward, Subject

STEPS, ORDERS = 8, 5


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
    watch = Watch(model, ALL, "*", ())
    watch.plan = Plan(fields={}, probes={"it": Probe(card, card.function)})
    with torch.no_grad(), watch as record:
        model(x)
    return Outcome(record.readings[-1]["it"], len(x))


def _explainer(card: Card, model: nn.Module, x: Tensor, heatmap: Tensor | None, seed: int) -> Outcome:
    made = subject_run.explain(Chosen(card, card.function, {}), Subject(model, x, ALL), target=1, seed=seed)
    return Outcome(torch.from_numpy(made.values), len(x))


def _metric(card: Card, model: nn.Module, x: Tensor, heatmap: Tensor | None, seed: int) -> Outcome:
    forward = Forward(Subject(model, x, ALL), 1)
    if heatmap is None:
        heatmap = torch.nn.functional.avg_pool2d(x[:, 0], 4)
    grid = Grid(*heatmap.shape[1:])
    bank = subject_run.bank(forward, x, grid, Draw(ORDERS, STEPS, "mean", seed))
    scored = subject_run.score(Chosen(card, card.function, {}), Map(heatmap.numpy(), grid, "given"), forward, bank)
    return Outcome(torch.tensor([scored.value]), 1, scored.direction == "higher")


def _object(card: Card, model: nn.Module, x: Tensor, heatmap: Tensor | None, seed: int) -> Outcome:
    parts = subject_run.discover(Chosen(card, card.function, {}), Subject(model, x, ALL))
    return Outcome(torch.from_numpy(parts.values), len(x))


_RUNNERS = {"probes": _probe, "explainers": _explainer, "metrics": _metric, "objects": _object}
