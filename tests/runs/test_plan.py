from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from regard.errors import LayoutError, MethodError
from regard.runs.plan import Plan
from regard.testing.planted import PlantedCNN, planted_pictures

X = planted_pictures([(1, 2)])


def test_the_fingerprint_knows_plan_model_and_picture() -> None:
    plan, model = Plan(), PlantedCNN()
    one = plan.fingerprint(model, X)
    assert one == Plan().fingerprint(PlantedCNN(), X.clone())
    others = {
        replace(plan, seed=1).fingerprint(model, X),
        plan.fingerprint(PlantedCNN(seed=1), X),
        plan.fingerprint(model, X + 1e-6),
    }
    assert len(others | {one}) == 4


def test_what_cannot_be_compared_is_refused_at_once() -> None:
    with pytest.raises(MethodError, match="gradcamm"):
        Plan(methods=("gradcamm",))
    with pytest.raises(MethodError, match="pointing_game asks for 'region'"):
        Plan(metrics=("pointing_game",))
    with pytest.raises(LayoutError, match="a comparison of nothing"):
        Plan(methods=())


def test_options_of_methods_are_checked_and_belong_to_the_fingerprint() -> None:
    plan = Plan(methods=("integrated-gradients", "gradcam"), options={"integrated-gradients": {"steps": 3}})
    assert (plan.methods, plan.options) == (("integrated_gradients", "gradcam"), {"integrated_gradients": {"steps": 3}})
    assert plan.fingerprint(PlantedCNN(), X) != replace(plan, options={}).fingerprint(PlantedCNN(), X)
    with pytest.raises(MethodError, match="options of 'rise', which is not compared"):
        Plan(methods=("gradcam",), options={"rise": {"forwards": 8}})
    with pytest.raises(MethodError, match="no option of gradcam named 'steps'"):
        Plan(methods=("gradcam",), options={"gradcam": {"steps": 3}})


def test_a_baseline_that_the_banks_cannot_draw_is_refused_before_anything_runs() -> None:
    with pytest.raises(MethodError, match="no baseline named 'drop'"):
        Plan(baselines=("blur", "drop"))


def test_every_picture_has_a_seed_of_its_own_that_moves_with_the_plans() -> None:
    pictures = torch.rand(9, 1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    seeds = [Plan().seed_for(x) for x in pictures]
    assert len(set(seeds)) == 9
    assert seeds == [Plan().seed_for(x.clone()) for x in pictures]
    assert [Plan(seed=1).seed_for(x) for x in pictures] == [(s + 1) % 2**31 for s in seeds]
