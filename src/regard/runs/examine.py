"""`examine`: one picture through all methods, controls, metrics and baselines: a record of plain data."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import RegardError
from regard.layout import Grid
from regard.registry import find
from regard.results import Map
from regard.runs.controls import plain_controls
from regard.runs.plan import Plan
from regard.subjects import run
from regard.subjects.bank import BATCH, Draw, compose, make_bank
from regard.subjects.baseline import BASELINES, baseline_picture
from regard.subjects.controls import shuffled_twin
from regard.subjects.degenerate import check_finite, check_ranks, why_degenerate
from regard.subjects.designs import fixed
from regard.subjects.evidence import Evidence, cells_like
from regard.subjects.forward import Forward, Subject
from regard.subjects.masks import MaskDraw, make_masks
from regard.subjects.scorer import Scorer
from regard.subjects.target import logits_of

MASKED = 16  # pictures with half of their cells gone, on which accuracy is counted


def examine(on: Subject, plan: Plan) -> dict[str, Any]:
    """Everything about one picture: target, maps (forwards, seconds or failure), scores, masked accuracy."""
    forward = Forward(on, None)
    target = forward.target.index[0]
    seed = plan.seed_for(on.x)
    height, width = on.x.shape[-2:]
    shorter = min(height, width)
    grid = Grid(round(plan.cells * height / shorter), round(plan.cells * width / shorter))
    maps, facts = _maps(on, plan, grid, target, forward, seed)
    scores = {b: _scores(on, plan, maps, target, b, seed) for b in plan.baselines}
    return {
        "target": forward.target.label,
        "index": target,
        "probability": forward.whole,
        "seed": seed,
        "grid": [grid.h, grid.w],
        "maps": facts,
        "values": {name: [[round(float(v), 9) for v in row] for row in one] for name, one in maps.items()},
        "scores": scores,
        "masked": {b: _masked(on, grid, target, b, seed) for b in BASELINES},
    }


def _maps(
    on: Subject, plan: Plan, grid: Grid, target: int, forward: Forward, seed: int
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Maps of methods and controls on one grid, and what each took or why it failed."""
    first = plan.methods[0]
    other = int(forward.logits[0].argsort(descending=True)[1])
    twin = Subject(shuffled_twin(on.model, seed), on.x, on.mechanisms, on.classes, on.span)
    made: dict[str, tuple[Subject, str, int]] = {name: (on, name, target) for name in plan.methods}
    made |= {f"{first}: other class": (on, first, other), f"{first}: randomised model": (twin, first, target)}
    maps: dict[str, Tensor] = {}
    facts: dict[str, Any] = {}
    for name, (subject, method, goal) in made.items():
        start = time.perf_counter()
        try:
            heat = run.explain(find("explainers", method, plan.options.get(method)), subject, target=goal, seed=seed)
            laid = F.adaptive_avg_pool2d(torch.from_numpy(heat.values)[None].double(), (grid.h, grid.w))[0, 0]
            check_finite(laid.numpy())
            check_ranks(laid)
            if reason := why_degenerate(laid.numpy()):
                facts[name] = {"warning": reason}
        except (RegardError, RuntimeError, ValueError) as error:
            facts[name] = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
            continue
        maps[name] = laid
        facts[name] = facts.get(name, {}) | {"forwards": heat.forwards, "seconds": time.perf_counter() - start}
    if first in maps:
        maps[f"{first}: inverted"] = -maps[first]
    plain = plain_controls(on.x, grid.h, grid.w, seed)
    maps |= {name: laid for name, laid in plain.items() if laid.min() < laid.max()}  # a plain picture has no edges
    return maps, facts


def _scores(on: Subject, plan: Plan, maps: dict[str, Tensor], target: int, baseline: str, seed: int) -> dict[str, Any]:
    """Scores of all maps by metric, over one order bank and one mask bank."""
    chosen = {name: find("metrics", name) for name in plan.metrics}
    asked = {subject for one in chosen.values() for subject in one.card.subjects}
    draw = Draw(plan.orders, plan.steps, baseline, seed)
    any_map = next(iter(maps.values()))
    grid = Grid(*any_map.shape)
    banks: dict[str, Any] = {}
    if "bank" in asked:
        banks["given_bank"] = make_bank(Forward(on, target), on.x, grid, draw, span=on.span)
    if "masks" in asked:
        cells = cells_like(on.x, grid)
        banks["given_masks"] = make_masks(
            Scorer(on, target), cells, MaskDraw(groups=min(10, cells.count), baseline=baseline, seed=seed)  # type: ignore[arg-type]
        )  # fmt: skip
    found: dict[str, Any] = {name: {} for name in chosen}
    for name, values in maps.items():
        evidence = Evidence(on, Map(values[None].numpy(), grid, name), target, draw, **banks)
        for metric, one in chosen.items():
            score = run.score(one, evidence)
            chance = None if score.null is None or not len(score.null) else float(score.null.mean())
            found[metric][name] = {
                "value": score.value, "chance": chance, "p": score.p, "direction": score.direction,
                "convention": score.convention, "curve": None if score.curve is None else score.curve.tolist(),
            }  # fmt: skip
    return found


def _masked(on: Subject, grid: Grid, target: int, baseline: str, seed: int) -> float:
    """Share of pictures with a random half of the cells gone that the model still gives the same class."""
    generator = torch.Generator().manual_seed(seed)
    gone = ~fixed(MASKED, grid.patches, generator)
    replaced = baseline_picture(on.x, baseline, span=on.span, generator=generator)
    made = compose(on.x, replaced, gone.to(on.x.device), grid)
    with torch.no_grad():
        logits = torch.cat([logits_of(on.model(part)) for part in made.split(BATCH)])
    return float((logits.argmax(1) == target).double().mean())
