"""Running methods: give each the subjects it asks for, and wrap what it returns into a result."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from regard import __version__
from regard.core.record import Record
from regard.core.watch import Watch
from regard.errors import MethodError
from regard.registry import FIELDS, Chosen
from regard.results import Map, Parts, Score
from regard.subjects.bank import check_seed
from regard.subjects.degenerate import why_degenerate
from regard.subjects.evidence import Evidence
from regard.subjects.forward import Subject
from regard.subjects.kept import Kept, digest
from regard.subjects.prompted import prompted
from regard.subjects.rows import last_on_grid
from regard.subjects.scorer import Scorer
from regard.subjects.tap import auto_place, auto_places, place_at, places_at
from regard.subjects.target import Goal
from regard.subjects.values import MapValues, ScoreValues

FEATURES = ("q", "k", "v")
UNAIMED = "{} does not look at a target: the map is the same for all"
HEADLESS = "the model has no classifier: one of its features is explained; target= an embedding or a function"
UNKEPT = "{} scores no pictures without gradients: nothing was kept to go on from"
TRAINING = "the model is in training mode: dropout and batch statistics act"


def explain(
    chosen: Chosen, on: Subject, *, target: Goal = None, site: str | None = None, seed: Any = 0,
    resume: Path | None = None,
) -> Map:  # fmt: skip
    """Make the subjects that an explainer asks for, run it, and keep what it took.

    resume: a folder that keeps scores of masked pictures as they come, and gives them back to the same call.
    """
    start = time.perf_counter()
    check_seed(seed)
    card = chosen.card
    score = Scorer(on, target)
    if resume is not None:
        score.kept = Kept(resume, _facts(chosen, score, site, seed))
    given: dict[str, Any] = {"x": on.x, "generator": torch.Generator().manual_seed(seed), "score": score}
    if "record" in card.subjects:
        keep = [need for need in card.needs if need in FIELDS]
        with torch.no_grad(), Watch(on.model, on.mechanisms, site or "*", keep) as record:
            on.model(on.x)
        given["record"] = record
        score.count += on.x.shape[0]
    if {"layer", "activations", "layers"} & set(card.subjects):
        how = (on.model, on.mechanisms, on.x)
        if "layers" in card.subjects:
            places = places_at(site, *how) if site else auto_places(*how)
        else:
            places = [place_at(site, *how) if site else auto_place(*how)]
        score.count += on.x.shape[0]
        if "activations" in card.subjects:
            (given["activations"],) = score.activations(places)
        else:
            given["layers"] = score.layers(places)
            given["layer"] = given["layers"][0]
    if "scans" in card.subjects:
        given["scans"] = score.scans()
    if "prompts" in card.subjects:
        given["prompts"] = prompted(on.model)
    values = chosen.function(*(given[name] for name in card.subjects))
    made = to_map(values, chosen, forwards=score.count, seconds=time.perf_counter() - start)
    aim = score.target if score.aimed else None
    return replace(
        made,
        target=aim.label if aim else None,
        target_index=aim.index or None if aim else None,
        seed=seed if "generator" in card.subjects else None,
        warnings=(
            *made.warnings,
            *([TRAINING] if on.model.training else []),
            *([HEADLESS] if aim and aim.index and getattr(on.model, "num_classes", None) == 0 else []),
            *([UNAIMED.format(card.name)] if target is not None and not aim else []),
            *([UNKEPT.format(card.name)] if score.kept and not score.kept.used + score.kept.new else []),
        ),
    )


def _facts(chosen: Chosen, score: Scorer, site: str | None, seed: int) -> dict[str, Any]:
    """What decides the scores of a run, by the word that a refusal says."""
    whole = [f"{float(one):.3e}" for one in score.value]  # also tells functions of the output apart
    return {
        "version": __version__, "model": digest(score.on.model.state_dict().values(), type(score.on.model).__name__),
        "picture": digest([score.on.x]), "method": chosen.card.name, "setting": repr(sorted(chosen.settings.items())),
        "site": site, "seed": seed, "target": [score.target.label, score.target.index, whole],
    }  # fmt: skip


def to_map(values: MapValues, chosen: Chosen, *, forwards: int, seconds: float) -> Map:
    """Wrap an explainer's values; a degenerate map carries the reason as a warning."""
    array = _array(values.values)
    reasons = (why_degenerate(one) for one in array)
    return Map(
        values=array,
        grid=values.grid,
        method=chosen.card.name,
        site=values.site,
        unit=chosen.card.unit,
        settings=chosen.settings,
        forwards=forwards,
        seconds=seconds,
        gap=values.gap,
        se=None if values.se is None else _array(values.se),
        warnings=tuple(f"map {i}: {reason}" for i, reason in enumerate(reasons) if reason),
    )


def score(chosen: Chosen, evidence: Evidence) -> Score:
    """Run a metric on what it asks for about one map."""
    start = time.perf_counter()
    values = chosen.function(*(evidence.of(name) for name in chosen.card.subjects))
    given = evidence.given_bank if "bank" in chosen.card.subjects else None
    return replace(
        to_score(values, chosen),
        target=evidence.label or None,
        seed=(given or evidence).draw.seed,
        forwards=evidence.forwards,
        seconds=time.perf_counter() - start,
    )


def to_score(values: ScoreValues, chosen: Chosen) -> Score:
    """Wrap a metric's values with the share of random maps that do as well."""
    null = values.null.double().cpu()
    as_good = null >= values.value if values.higher_is_better else null <= values.value
    low, high = (float(torch.quantile(null, q)) for q in (0.025, 0.975)) if len(null) else (0.0, 0.0)
    return Score(
        value=values.value,
        metric=chosen.card.name,
        convention=values.convention,
        direction="higher" if values.higher_is_better else "lower",
        interval=(low, high) if len(null) else None,
        null=null.numpy(),
        p=(1 + int(as_good.sum())) / (1 + len(null)) if len(null) else None,
        n=len(null),
        curve=None if values.curve is None else values.curve.double().cpu().numpy(),
        null_curves=None if values.null_curves is None else values.null_curves.double().cpu().numpy(),
        se=values.se,
    )


def discover(chosen: Chosen, on: Subject, *, features: str = "k", site: str | None = None) -> Parts:
    """Watch one forward, and run an object method on the features of its last attention on the grid."""
    start = time.perf_counter()
    if features not in FEATURES:
        raise MethodError.unknown("feature", features, FEATURES, see=f"one of {', '.join(FEATURES)}")
    with torch.no_grad(), Watch(on.model, on.mechanisms, site or "*", [features]) as record:
        on.model(on.x)
    return replace(parts(chosen, record, features=features), seconds=time.perf_counter() - start)


def parts(chosen: Chosen, record: Record, *, features: str = "k") -> Parts:
    """Run an object method on the features that a record kept."""
    start = time.perf_counter()
    reading = last_on_grid(record, -1)
    assert reading.grid is not None
    tokens = reading[features].transpose(1, 2).flatten(2)[:, reading.grid.prefix :]
    tokens = tokens.to(torch.promote_types(tokens.dtype, torch.float32))
    given = {"features": tokens, "grid": reading.grid}
    found = chosen.function(*(given[name] for name in chosen.card.subjects))
    return Parts(
        values=found.values.cpu().numpy(),
        names=found.names,
        grid=found.grid,
        method=chosen.card.name,
        site=f"{features} at {reading.address}",
        unit=chosen.card.unit,
        mask=None if found.mask is None else found.mask.cpu().numpy(),
        facts=found.facts,
        settings={**chosen.settings, "features": features},
        forwards=tokens.shape[0],
        seconds=time.perf_counter() - start,
    )


def _array(values: Tensor) -> NDArray[Any]:
    """NumPy has no bfloat16."""
    values = values.detach().cpu()
    return (values.float() if values.dtype == torch.bfloat16 else values).numpy()
