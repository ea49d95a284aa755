"""Running methods: give each the subjects it asks for, and wrap what it returns into a result."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.core.intercept import Mechanisms
from regard.core.rows import last_on_grid
from regard.core.watch import FIELDS, Watch
from regard.errors import LayoutError
from regard.registry import Card
from regard.results import Map, Parts, Score
from regard.subjects.bank import OrderBank, make_bank
from regard.subjects.degenerate import why_degenerate
from regard.subjects.tap import Place, auto_place, tap
from regard.subjects.target import Goal, Target, choose, logits_of
from regard.subjects.values import MapValues, ScoreValues


class Forward:
    """Pictures to the target's probability, counting the pictures that went through."""

    def __init__(self, model: nn.Module, x: Tensor, goal: Goal, classes: Sequence[str]) -> None:
        self.model = model
        self.count = x.shape[0]
        with torch.no_grad():
            self.logits = logits_of(model(x))
        self.target = choose(goal, self.logits, classes)

    def __call__(self, pictures: Float[Tensor, "n 3 H W"]) -> Float[Tensor, " n"]:
        self.count += pictures.shape[0]
        with torch.no_grad():
            return self.target.pick(logits_of(self.model(pictures)).softmax(1))


@dataclass(frozen=True)
class Explained:
    """What an explainer returned, for which target, and how many forwards it took."""

    values: MapValues
    target: Target | None
    forwards: int


def explain(
    model: nn.Module,
    x: Tensor,
    mechanisms: Mechanisms,
    card: Card,
    function: Callable[..., MapValues],
    goal: Goal,
    site: str | None,
    classes: Sequence[str],
    seed: int,
) -> Explained:
    """Make the subjects that the method asks for, then run it."""
    subjects: dict[str, Any] = {"x": x, "generator": torch.Generator().manual_seed(seed)}
    chosen: list[Target] = []
    forwards = 0
    if "record" in card.subjects:
        keep = [need for need in card.needs if need in FIELDS]
        with torch.no_grad(), Watch(model, mechanisms, site or "*", keep) as record:
            model(x)
        subjects["record"] = record
        forwards += x.shape[0]
    if "layer" in card.subjects:
        place = Place(site, at_input=False, grid=None) if site else auto_place(model, mechanisms, x)

        def score(output: Any) -> Tensor:
            logits = logits_of(output)
            chosen.append(choose(goal, logits, classes))
            return chosen[-1].pick(logits)

        subjects["layer"], _ = tap(model, x, place, score)
        forwards += x.shape[0] * (1 if site else 2)
    values = function(*(subjects[name] for name in card.subjects))
    return Explained(values, chosen[-1] if chosen else None, forwards)


def to_map(explained: Explained, card: Card, settings: dict[str, Any], seed: int, seconds: float) -> Map:
    """Wrap an explainer's values; a degenerate map carries the reason as a warning."""
    values = explained.values
    array = values.values.detach().cpu().numpy()
    reasons = (why_degenerate(one) for one in array)
    return Map(
        values=array,
        grid=values.grid,
        method=card.name,
        target=explained.target.label if explained.target else None,
        site=values.site,
        unit=card.unit,
        settings=settings,
        forwards=explained.forwards,
        seconds=seconds,
        seed=seed if "generator" in card.subjects else None,
        gap=values.gap,
        se=None if values.se is None else values.se.cpu().numpy(),
        warnings=tuple(f"map {i}: {reason}" for i, reason in enumerate(reasons) if reason),
    )


def bank(
    forward: Forward,
    x: Tensor,
    grid: Any,
    orders: int,
    steps: int,
    baseline: Literal["blur", "mean"],
    seed: int,
) -> OrderBank:
    """The null of deletion and insertion on a grid."""
    if x.shape[0] != 1:
        raise LayoutError(f"a batch of {x.shape[0]} pictures", hint="score one picture at a time: x[i:i+1]")
    generator = torch.Generator().manual_seed(seed)
    return make_bank(forward, x, grid, orders=orders, steps=steps, baseline=baseline, generator=generator)


def score(
    card: Card, function: Callable[..., ScoreValues], heatmap: Map, forward: Forward, bank: OrderBank
) -> ScoreValues:
    """Run a metric on the one map of `heatmap`."""
    if heatmap.values.shape[0] != 1 or (heatmap.grid.h, heatmap.grid.w) != (bank.grid.h, bank.grid.w):
        raise LayoutError(
            f"a Map of {heatmap.values.shape[0]} pictures on grid {heatmap.grid} scored on grid {bank.grid}",
            hint="one picture, and a bank made on the map's own grid",
        )
    subjects: dict[str, Any] = {"heatmap": torch.from_numpy(heatmap.values[0]), "forward": forward, "bank": bank}
    return function(*(subjects[name] for name in card.subjects))


def to_score(values: ScoreValues, card: Card, seed: int, forwards: int, seconds: float) -> Score:
    """Wrap a metric's values with the share of random maps that do as well."""
    null = values.null.double().cpu()
    as_good = null >= values.value if values.higher_is_better else null <= values.value
    low, high = (float(torch.quantile(null, q)) for q in (0.025, 0.975)) if len(null) else (0.0, 0.0)
    return Score(
        value=values.value,
        metric=card.name,
        convention=values.convention,
        direction="higher" if values.higher_is_better else "lower",
        interval=(low, high) if len(null) else None,
        null=null.numpy(),
        p=(1 + int(as_good.sum())) / (1 + len(null)) if len(null) else None,
        n=len(null),
        seed=seed,
        forwards=forwards,
        seconds=seconds,
        curve=values.curve.double().cpu().numpy(),
        null_curves=values.null_curves.double().cpu().numpy(),
    )


def discover(
    model: nn.Module,
    x: Tensor,
    mechanisms: Mechanisms,
    card: Card,
    function: Callable[..., Any],
    settings: dict[str, Any],
    site: str | None,
    start: float,
) -> Parts:
    """Take the features of the last attention on the grid, and run an object method on them."""
    which = str(settings["features"])
    with torch.no_grad(), Watch(model, mechanisms, site or "*", [which]) as record:
        model(x)
    return parts(record, which, card, function, settings, start)


def parts(
    record: Any, which: str, card: Card, function: Callable[..., Any], settings: dict[str, Any], start: float
) -> Parts:
    """Run an object method on the features that a record kept."""
    reading = last_on_grid(record, -1)
    assert reading.grid is not None
    features = reading[which].transpose(1, 2).flatten(2)[:, reading.grid.prefix :]
    subjects: dict[str, Any] = {"features": features, "grid": reading.grid}
    found = function(*(subjects[name] for name in card.subjects))
    return Parts(
        values=found.values.cpu().numpy(),
        names=found.names,
        grid=found.grid,
        method=card.name,
        site=f"{which} at {reading.address}",
        unit=card.unit,
        mask=None if found.mask is None else found.mask.cpu().numpy(),
        facts=found.facts,
        settings=settings,
        forwards=features.shape[0],
        seconds=time.perf_counter() - start,
    )
