from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import regard as rg
from regard.runs.examine import MASKED, examine
from regard.subjects import run
from regard.subjects.designs import fixed
from regard.testing.planted import PlantedCNN, planted_pictures

from .planted_run import PLAN, subject

X = planted_pictures([(2, 5)])


def test_a_record_holds_the_scores_that_the_verbs_give() -> None:
    record = examine(subject(X), PLAN)
    model, seed = PlantedCNN(), PLAN.seed_for(X)
    heat = rg.explain(model, X, method="gradcam", target=record["index"])
    laid = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(heat.values).double(), 4)
    np.testing.assert_allclose(record["values"]["gradcam"], laid[0], atol=1e-9)
    own = replace(heat, values=laid.numpy(), grid=rg.Grid(4, 4))
    score = rg.score(own, model, X, metric="deletion", orders=5, steps=4, baseline="mean", seed=seed)
    assert record["scores"]["mean"]["deletion"]["gradcam"]["value"] == pytest.approx(score.value)
    assert record["scores"]["mean"]["deletion"]["gradcam"]["chance"] == pytest.approx(score.null.mean())
    bank = rg.masks(model, X, own, target=record["index"], baseline="mean", seed=seed)
    saco = rg.score(own, model, X, metric="saco", bank=bank, orders=5)
    assert record["scores"]["mean"]["saco"]["gradcam"]["value"] == pytest.approx(saco.value)


def test_controls_are_there_and_inverted_is_the_negative() -> None:
    record = examine(subject(X), PLAN)
    names = set(record["values"])
    assert names == {
        "gradcam", "gradient", "gradcam: other class", "gradcam: randomised model", "gradcam: inverted", "random",
        "centre", "edges",
    }  # fmt: skip
    np.testing.assert_allclose(record["values"]["gradcam: inverted"], -np.array(record["values"]["gradcam"]))
    assert 0 <= record["masked"]["mean"] <= 1
    assert math.isfinite(record["probability"])


def test_options_reach_the_method_and_its_controls() -> None:
    plan = replace(PLAN, methods=("occlusion",), options={"occlusion": {"cells": 2}})
    maps = examine(subject(X), plan)["maps"]
    assert (
        maps["occlusion"]["forwards"] == maps["occlusion: randomised model"]["forwards"] == 5
    )  # the whole, 4 cells gone


def test_a_method_that_fails_is_told_and_the_others_go_on() -> None:
    record = examine(subject(X), replace(PLAN, methods=("gradcam", "rollout")))
    assert "error" in record["maps"]["rollout"]  # no attention in a CNN
    assert "rollout" not in record["values"]
    assert "gradcam" in record["scores"]["mean"]["saco"]


def test_the_gauge_holds_all_baselines_whatever_the_maps_are_judged_on() -> None:
    """The share of pictures with a random half of the cells at a baseline that keep the model's choice, one by one."""
    record = examine(subject(X), PLAN)
    model, generator = subject(X).model, torch.Generator().manual_seed(PLAN.seed_for(X))
    gone = ~fixed(MASKED, 16, generator)
    slow = 0
    for row in gone:
        full = row.view(1, 1, 4, 4).repeat_interleave(8, 2).repeat_interleave(8, 3)
        slow += int(model(torch.where(full, X.mean((2, 3), keepdim=True), X)).argmax(1)) == record["index"]
    assert record["masked"]["mean"] == slow / MASKED
    assert list(record["masked"]) == ["black", "white", "mean", "blur", "uniform"]


@pytest.mark.parametrize(
    ("value", "reason"),
    [(float("nan"), "the map has NaN or infinite values: 16 of 16"), (0.0, "all values are 0: the")],
)
def test_a_map_that_cannot_be_scored_is_that_methods_failure(
    value: float, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a plain picture, which has no edges, loses that control and nothing else."""
    before = run.explain

    def explain(chosen: Any, *given: Any, **more: Any) -> rg.Map:
        heat = before(chosen, *given, **more)
        return replace(heat, values=heat.values * 0 + value) if chosen.card.name == "gradient" else heat

    monkeypatch.setattr(run, "explain", explain)
    record = examine(subject(X), replace(PLAN, methods=("gradcam", "gradient")))
    assert reason in record["maps"]["gradient"]["error"]
    assert "gradient" not in record["values"]
    assert "gradcam" in record["scores"]["mean"]["deletion"]
    plain = examine(subject(torch.full_like(X, 0.25)), replace(PLAN, methods=("occlusion",)))
    assert "edges" not in plain["values"]
    assert "random" in plain["scores"]["mean"]["deletion"]
