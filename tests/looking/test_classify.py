"""A verdict: the classes are the model's own softmax, the scores stand beside a null that can be counted again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.errors import MethodError
from regard.looking.classify import TOP, Verdict, class_map, classify
from regard.mechanisms import ALL
from regard.results import Score
from regard.subjects.bank import Draw
from regard.subjects.forward import Subject
from regard.testing.planted import planted_pictures

from .vits import NAMES, planted

SPOT = (2, 5)


def verdict_of(model: nn.Module, x: Tensor, goal: int | str | None = None, seed: int = 0) -> Verdict:
    return classify(Subject(model, x, ALL, NAMES), goal=goal, draw=Draw(19, 6, seed=seed))


@pytest.fixture(scope="module")
def x() -> Tensor:
    return planted_pictures([SPOT])


@pytest.fixture(scope="module")
def verdict(x: Tensor) -> Verdict:
    return verdict_of(planted(), x)


def test_classes_are_the_softmax_in_order(verdict: Verdict, x: Tensor) -> None:
    with torch.no_grad():
        p = torch.exp(logits := planted()(x)[0]) / torch.exp(logits).sum()
    order = sorted(range(3), key=lambda i: -float(p[i]))
    assert verdict.classes.column("index") == order
    assert verdict.classes.column("class") == [("nothing", "redness", "something else")[i] for i in order]
    assert verdict.classes.column("probability") == pytest.approx([float(p[i]) for i in order], rel=1e-5)
    assert verdict.target == order[0] == 1


def test_the_explanation_is_grad_cam_and_finds_the_evidence(verdict: Verdict, x: Tensor) -> None:
    heat = verdict.explanation
    wanted = rg.explain(planted(), x, method="gradcam", target=1)
    np.testing.assert_array_equal(heat.values, wanted.values)
    assert (heat.method, heat.target) == ("gradcam", "redness")
    assert np.unravel_index(heat.values[0].argmax(), (8, 8)) == SPOT
    np.testing.assert_array_equal(class_map(Subject(planted(), x, ALL, NAMES), 1), heat.values[0])


@pytest.mark.parametrize("name", ["deletion", "insertion"])
def test_a_score_has_its_null_interval_p_and_curve(verdict: Verdict, x: Tensor, name: str) -> None:
    score: Score = verdict.scores[name]
    assert score.null is not None
    assert score.curve is not None
    assert score.null_curves is not None
    assert (score.n, score.seed) == (19, 0)
    as_good = sum(float(v) >= score.value if name == "insertion" else float(v) <= score.value for v in score.null)
    assert score.p == pytest.approx((1 + as_good) / 20)
    assert score.interval == pytest.approx(tuple(np.quantile(score.null, [0.025, 0.975])))
    assert score.value == pytest.approx(np.trapezoid(score.curve[1], score.curve[0]), rel=1e-5)
    np.testing.assert_allclose(score.null, np.trapezoid(score.null_curves, score.curve[0], axis=1), rtol=1e-5)
    with torch.no_grad():
        whole = float(planted()(x).softmax(1)[0, 1])
    assert score.curve[1][0 if name == "deletion" else -1] == pytest.approx(whole, rel=1e-5)
    assert score.curve.shape == (2, 7)


def test_no_random_map_does_better_than_the_right_one_and_both_scores_share_them(verdict: Verdict) -> None:
    deletion, insertion = verdict.scores["deletion"], verdict.scores["insertion"]
    assert deletion.null is not None
    assert insertion.null is not None
    assert deletion.value < deletion.null.min()
    assert insertion.value >= insertion.null.max() - 1e-6
    assert deletion.null_curves is not None
    assert insertion.null_curves is not None
    np.testing.assert_allclose(deletion.null_curves[:, ::-1], insertion.null_curves)


def test_a_goal_by_name_or_index_is_what_gets_explained(x: Tensor) -> None:
    by_name = verdict_of(planted(), x, "void")
    assert (by_name.target, by_name.explanation.target) == (0, "nothing")
    assert by_name.classes.column("index")[0] == 1, "the classes stay the model's own"
    np.testing.assert_array_equal(by_name.explanation.values, verdict_of(planted(), x, 0).explanation.values)


def test_an_unknown_class_is_refused_with_the_closest(x: Tensor) -> None:
    with pytest.raises(MethodError, match="no class named 'rednest'") as caught:
        verdict_of(planted(), x, "rednest")
    assert "'redness'" in caught.value.hint


def test_the_seed_decides_the_null_and_nothing_else(verdict: Verdict, x: Tensor) -> None:
    again, other = verdict_of(planted(), x), verdict_of(planted(), x, seed=1)
    np.testing.assert_array_equal(again.scores["deletion"].null, verdict.scores["deletion"].null)
    assert not np.array_equal(other.scores["deletion"].null, verdict.scores["deletion"].null)
    assert other.scores["deletion"].value == verdict.scores["deletion"].value


def test_the_explanation_says_how_it_was_made(x: Tensor) -> None:
    heat = verdict_of(planted(), x, 2).explanation
    assert (heat.target, heat.unit, heat.site) == ("something else", "logit", "input of blocks.1")
    assert heat.seconds > 0


def test_efficientnet_calls_coffee_espresso(efficientnet: nn.Module) -> None:
    from regard.models.facts import facts_of

    x = rg.image("sample:coffee", like=efficientnet)
    on = Subject(efficientnet, x, ALL, facts_of(efficientnet).classes)
    verdict = classify(on, goal=None, draw=Draw(orders=3, steps=4))
    assert verdict.classes.rows[0][0] == verdict.explanation.target == "espresso"
    assert len(verdict.classes.rows) == TOP
    assert verdict.scores["insertion"].p == pytest.approx(0.25), "better than all three random maps"
