from __future__ import annotations

import numpy as np
import pytest
import torch

import regard as rg
from regard.errors import LayoutError, MethodError
from regard.mechanisms import ALL
from regard.registry import find
from regard.subjects import run
from regard.subjects.bank import Draw, make_bank
from regard.subjects.forward import Forward, Subject
from regard.subjects.values import ScoreValues
from regard.testing.planted import PlantedCNN, PlantedViT, planted_pictures

X = planted_pictures([(2, 5), (6, 6)])


def test_explain_counts_forwards_and_keeps_the_target() -> None:
    cam = rg.explain(PlantedCNN(), X, method="gradcam", target=1)
    assert (cam.target, cam.forwards, cam.unit) == ("class 1", 4, "logit")
    rolled = rg.explain(PlantedViT(), X, method="rollout")
    assert (rolled.target, rolled.forwards, rolled.settings) == (None, 2, {"query": None, "residual": 0.5})
    assert rolled.site == "blocks.0.attn .. blocks.1.attn"


def score_values(value: float, null: list[float], higher: bool) -> ScoreValues:
    n = len(null)
    return ScoreValues(value, torch.tensor(null), "told", higher, torch.zeros(2, 3), torch.zeros(n, 3))


@pytest.mark.parametrize(("higher", "p"), [(True, 2 / 5), (False, 5 / 5)])
def test_p_and_interval(higher: bool, p: float) -> None:
    score = run.to_score(score_values(0.75, [0.125, 0.25, 0.5, 0.75], higher), find("metrics", "deletion"))
    assert score.p == p
    assert score.interval == pytest.approx(tuple(np.quantile([0.125, 0.25, 0.5, 0.75], [0.025, 0.975])))
    assert (score.n, score.direction) == (4, "higher" if higher else "lower")


def test_without_a_null_there_is_no_p() -> None:
    score = run.to_score(score_values(0.7, [], True), find("metrics", "deletion"))
    assert (score.p, score.interval, score.n) == (None, None, 0)


def test_one_picture_at_a_time() -> None:
    model = PlantedCNN()
    with pytest.raises(LayoutError, match="a batch of 2 pictures"):
        make_bank(Forward(Subject(model, X, ALL), 1), X, rg.Grid(8, 8), Draw())
    heat = rg.explain(model, X, method="gradcam", target=1)
    bank = make_bank(Forward(Subject(model, X[:1], ALL), 1), X[:1], heat.grid, Draw(1, 2))
    with pytest.raises(LayoutError, match="a Map of 2 pictures"):
        rg.score(heat, model, X[:1], target=1, bank=bank)


def test_a_map_is_scored_for_the_class_that_it_explains() -> None:
    model = PlantedCNN()
    heat = rg.explain(model, X[:1], method="gradcam", target=2)
    assert (heat.target, heat.target_index) == ("class 2", (2,))
    own = rg.score(heat, model, X[:1], orders=3)
    asked = rg.score(heat, model, X[:1], target=2, orders=3)
    other = rg.score(heat, model, X[:1], target=1, orders=3)
    assert (own.target, asked.target, other.target) == ("class 2", "class 2", "class 1")
    assert own.value == asked.value != other.value
    shared = rg.bank(model, X[:1], heat, orders=3)
    assert rg.score(heat, model, X[:1], bank=shared).null.tolist() == own.null.tolist()


def test_discover_takes_features_without_the_prefix() -> None:
    model = PlantedViT()
    with torch.no_grad(), rg.watch(model, "blocks.1.attn", keep="v") as record:
        model(X)
    values = record["blocks.1.attn"]["v"].transpose(1, 2).flatten(2)[:, 1:]
    got = rg.discover(model, X, "pca", features="v")
    slow = rg.objects.pca(values, rg.Grid(8, 8, prefix=1))
    np.testing.assert_allclose(got.values, slow.values.numpy())
    assert got.site == "v at blocks.1.attn"
    assert got.settings == {"components": 3, "features": "v"}


def test_a_contrast_is_explained_and_not_scored_as_a_class() -> None:
    model = PlantedCNN()
    heat = rg.explain(model, X[:1], method="gradcam", target="1 vs 2")
    assert (heat.target, heat.target_index) == ("class 1 vs class 2", None)
    sides = [rg.explain(model, X[:1], method="gradcam", target=t).values for t in (1, 2)]
    np.testing.assert_allclose(heat.values, sides[0] - sides[1], rtol=1e-4, atol=1e-6)
    with pytest.raises(MethodError, match="explains 'class 1 vs class 2', and scores are of one class"):
        rg.score(heat, model, X[:1], orders=2)
    assert rg.score(heat, model, X[:1], target=1, orders=2).target == "class 1"


def test_a_model_without_a_classifier_says_that_a_feature_is_explained() -> None:
    import timm

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        headless = timm.create_model("test_vit", num_classes=0).eval()
    x = torch.rand(1, 3, 160, 160, generator=torch.Generator().manual_seed(0))
    told = [rg.explain(headless, x, method="gradcam", target=t).warnings for t in (3, lambda out: out.norm(dim=1))]
    assert any("the model has no classifier" in w for w in told[0])
    assert not any("the model has no classifier" in w for w in told[1])
