"""The verbs, by value: what they give on models whose numbers can be computed by hand, and what they refuse."""

from __future__ import annotations

import copy
import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard import registry
from regard.errors import (
    CallError,
    DataError,
    DegenerateError,
    ImageError,
    MethodError,
    SiteError,
)
from regard.models.facts import facts_of, remember
from regard.models.picture import read_picture
from regard.models.prepare import prepare
from regard.subjects.values import MapValues
from regard.testing.planted import PlantedCNN, planted_pictures

from .told import refused


@pytest.fixture(scope="module")
def x(tiny_vit: nn.Module) -> Tensor:
    return rg.image("sample:coffee", like=tiny_vit)


# model, image


def test_model_by_name_and_as_it_is(tiny_vit: nn.Module) -> None:
    assert type(rg.model("random:vit_tiny_patch16_224")).__name__ == "VisionTransformer"
    assert rg.model(tiny_vit) is tiny_vit
    a, b, c = (rg.model("random:resnet18", seed=s).state_dict()["conv1.weight"] for s in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    with refused(MethodError, "no model named 'dinov2-smal'", "'dinov2-small'"):
        rg.model("dinov2-smal")


def test_image_as_it_is() -> None:
    from skimage import data

    photo = rg.image("sample:coffee")
    assert photo.dtype == torch.float32
    assert photo.is_contiguous()
    assert np.array_equal(photo[0].permute(1, 2, 0).numpy(), data.coffee().astype(np.float32) / 255)


PACKAGED = [pytest.param(name, marks=pytest.mark.weights) for name in ("dinov2", "efficientnet")]


@pytest.mark.parametrize("name", ["tiny_vit", *PACKAGED])
def test_image_like_a_model_is_what_prepare_makes(name: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(name)
    for patches in (576, 100):
        expected = prepare(read_picture("sample:rocket"), facts_of(model), patches=patches).x
        assert torch.equal(rg.image("sample:rocket", like=model, patches=patches), expected)


def test_image_takes_the_type_of_the_model(cnn: nn.Module) -> None:
    x = rg.image("sample:coffee", like=cnn)
    half = remember(copy.deepcopy(cnn).half(), facts_of(cnn))
    got = rg.image("sample:coffee", like=half)
    assert got.dtype == torch.float16
    assert torch.equal(got, x.half())
    bare = remember(nn.Identity(), facts_of(cnn))
    assert torch.equal(rg.image("sample:coffee", like=bare), x)


def test_image_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    with refused(DataError, "no file '.*nowhere.jpg'", "sample:chelsea"):
        rg.image(tmp_path / "nowhere.jpg")
    with pytest.raises(ImageError):
        rg.image(np.zeros((2, 2, 7)))


# watch, sites


def test_watch_gives_a_record_and_changes_nothing(tiny_vit: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        plain = tiny_vit(x)
        with rg.watch(tiny_vit, "blocks.{3..4}.attn", keep=["probs", rg.probes.entropy]) as record:
            watched = tiny_vit(x)
    assert torch.equal(plain, watched)
    assert [r.address for r in record] == ["blocks.3.attn", "blocks.4.attn"]
    p = record["blocks.3.attn"]["probs"].double()
    by_hand = -(p * p.log2()).sum(-1)
    assert torch.allclose(record["blocks.3.attn"]["entropy"].double(), by_hand, atol=1e-4)
    assert record.table("entropy").units == dict.fromkeys(("head 0", "head 1", "head 2"), "bits")


def test_watch_refuses_a_site_that_is_not_there(tiny_vit: nn.Module, x: Tensor) -> None:
    with torch.no_grad(), refused(SiteError, "no site matches 'block.*'; the model has 12", "blocks."):  # noqa: SIM117
        with rg.watch(tiny_vit, "block.*"):
            tiny_vit(x)
    with torch.no_grad(), rg.watch(tiny_vit, "blocks.3.attn", keep="sink-mass") as record:
        tiny_vit(x)
    assert record.table("sink_mass").title == "sink_mass"  # one spelling, whichever was typed
    with refused(MethodError, "no probe named 'entropie'", "a field .* or a probe: 'entropy'"):
        rg.watch(tiny_vit, keep="entropie")


# explain


def by_hand_rollout(model: nn.Module, x: Tensor, residual: float) -> Tensor:
    with torch.no_grad(), rg.watch(model, keep="probs") as record:
        model(x)
    total = torch.eye(197, dtype=torch.float64)
    for reading in record:
        layer = reading["probs"][0].double().mean(0)
        total = ((1 - residual) * layer + residual * torch.eye(197)) @ total
    return total[0, 1:].view(14, 14)


@pytest.mark.parametrize("residual", [0.5, 0.1])
def test_explain_rollout_is_the_explicit_product(residual: float, tiny_vit: nn.Module, x: Tensor) -> None:
    method: Any = functools.partial(rg.explainers.rollout, residual=residual)
    m = rg.explain(tiny_vit, x, method=method)
    assert np.abs(m.values[0] - by_hand_rollout(tiny_vit, x, residual).numpy()).max() < 1e-6
    assert (m.method, m.target, m.unit) == ("rollout", None, "share of attention")
    assert m.site == "blocks.0.attn .. blocks.11.attn"
    assert m.grid == rg.Grid(14, 14, prefix=1)
    assert dict(m.settings) == {"query": None, "residual": residual}
    assert (m.forwards, m.seed, m.gap, m.se, m.warnings) == (1, None, None, None, ())
    assert 0 < m.seconds < 60


def test_options_are_those_of_a_partial(tiny_vit: nn.Module, x: Tensor) -> None:
    a = rg.explain(tiny_vit, x, method="rollout", options={"residual": 0.1})
    b = rg.explain(tiny_vit, x, method=functools.partial(rg.explainers.rollout, residual=0.1))
    assert np.array_equal(a.values, b.values)
    assert a.settings == b.settings == {"query": None, "residual": 0.1}
    with refused(MethodError, "no option of rollout named 'steps'", "one of query, residual"):
        rg.explain(tiny_vit, x, method="rollout", options={"steps": 3})


def test_explain_gradcam_is_the_paper_formula(cnn: Any, part: Tensor) -> None:
    caught: list[Tensor] = []
    hook = cnn.layer4.register_forward_hook(lambda _, __, out: caught.append(out))
    try:
        logits = cnn(part)
    finally:
        hook.remove()
    (gradient,) = torch.autograd.grad(logits[0, 7], caught[0])
    expected = (gradient.mean((2, 3), keepdim=True) * caught[0]).sum(1).detach()
    for site in (None, "layer4"):
        m = rg.explain(cnn, part, method="gradcam", target=7, site=site)
        assert np.allclose(m.values, expected.numpy(), rtol=1e-4, atol=1e-7)
        assert (m.target, m.forwards, m.unit) == ("class 7", 2, "logit")
        assert m.site is not None
        assert m.site.startswith("layer4")


def test_explain_takes_the_first_choice_of_each_picture(cnn: nn.Module, part: Tensor) -> None:
    both = torch.cat([part, part.flip(-2)])
    with torch.no_grad():
        first = cnn(both).argmax(1).tolist()
    m = rg.explain(cnn, both, method="gradcam")
    assert m.values.shape == (2, 3, 3)
    assert m.forwards == 4
    assert m.target == ", ".join(dict.fromkeys(f"class {i}" for i in first))
    alone = rg.explain(cnn, part, method="gradcam", target=first[0])
    assert np.allclose(m.values[0], alone.values[0], rtol=1e-3, atol=1e-6)


def test_explain_names_classes(efficientnet: nn.Module) -> None:
    x = rg.image("sample:coffee", like=efficientnet)
    m = rg.explain(efficientnet, x, method="gradcam")
    assert m.target == "espresso"
    assert np.array_equal(m.values, rg.explain(efficientnet, x, method="gradcam", target="Espresso").values)
    assert np.array_equal(m.values, rg.explain(efficientnet, x, method="gradcam", target=967).values)
    with refused(MethodError, "no class named 'expresso'", "'espresso'"):
        rg.explain(efficientnet, x, method="gradcam", target="expresso")


def test_explain_warns_of_a_map_that_says_nothing(cnn: nn.Module, part: Tensor) -> None:
    silent: Any = copy.deepcopy(cnn)
    with torch.no_grad():
        silent.fc.weight.zero_()
    m = rg.explain(silent, torch.cat([part, part]), method="gradcam", target=0)
    assert m.warnings == ("map 0: all values are 0", "map 1: all values are 0")


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch) -> str:
    """A throw-away explainer that draws random numbers."""

    def noise(x, generator, *, scale: float = 2.0) -> MapValues:  # type: ignore[no-untyped-def]
        """Random numbers."""
        return MapValues(
            scale * torch.rand(len(x), 3, 3, generator=generator), rg.Grid(3, 3), gap=0.5, se=torch.ones(1, 3, 3)
        )

    registry.cards("explainers")
    monkeypatch.setattr(registry, "_cards", dict(registry._cards))
    noise.__module__ = "thrown.noise"
    facts = {"paper": "rise", "claim": "c", "source": "s", "differs": "none", "unit": "u"}
    registry.method("explainers", needs=(), **facts)(noise)  # type: ignore[arg-type]
    return "noise"


def test_explain_records_the_seed_of_a_method_that_draws(noise: str, cnn: nn.Module, part: Tensor) -> None:
    a, b, c = (rg.explain(cnn, part, method=noise, seed=s) for s in (5, 5, 6))
    assert np.array_equal(a.values, b.values)
    assert not np.array_equal(a.values, c.values)
    expected = 2.0 * torch.rand(1, 3, 3, generator=torch.Generator().manual_seed(5))
    assert np.array_equal(a.values, expected.numpy())
    assert (a.seed, c.seed, a.gap, a.forwards) == (5, 6, 0.5, 0)
    assert np.array_equal(a.se, np.ones((1, 3, 3)))  # type: ignore[arg-type]
    assert dict(a.settings) == {"scale": 2.0}


def test_explain_refuses(tiny_vit: nn.Module, cnn: nn.Module, x: Tensor, part: Tensor) -> None:
    with refused(MethodError, "no explainer named 'rolout'", "'rollout', or regard list explainers"):
        rg.explain(tiny_vit, x, method="rolout")
    with refused(CallError, "no attention of this model lies on a grid", "gradcam works without attention"):
        rg.explain(cnn, part, method="rollout")
    with refused(SiteError, "no site matches 'blocks.99.attn'", "regard.sites"):
        rg.explain(tiny_vit, x, site="blocks.99.attn")
    with refused(SiteError, "no site matches 'layer9'", "'layer4'"):
        rg.explain(cnn, part, method="gradcam", site="layer9")
    with refused(MethodError, "no class 1000: the model has 1000", "0 .. 999"):
        rg.explain(cnn, part, method="gradcam", target=1000)


@pytest.mark.parametrize("training", [False, True])
def test_verbs_leave_the_model_as_it_was(training: bool, part: Tensor) -> None:
    model = rg.model("random:resnet18").train(training)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    m = rg.explain(model, part, method="gradcam")
    assert bool(m.warnings) == training
    rg.score(m, model, part, orders=1, steps=2)
    rg.sites(model, part)
    assert all(one.training == training for one in model.modules())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert all(torch.equal(model.state_dict()[name], value) for name, value in state.items())
    assert not any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules())
    assert torch.is_grad_enabled()


# discover


def test_discover_pca_is_a_decomposition_of_the_features(tiny_vit: nn.Module, x: Tensor) -> None:
    for features in ("q", "k", "v"):
        parts = rg.discover(tiny_vit, x, "pca", features=features)  # type: ignore[arg-type]
        assert parts.names == ("component 1", "component 2", "component 3")
        assert parts.values.shape == (1, 3, 14, 14)
        assert parts.site == f"{features} at blocks.11.attn"
        assert parts.settings["features"] == features
        assert (parts.forwards, parts.mask) == (1, None)
        with torch.no_grad(), rg.watch(tiny_vit, "blocks.11.attn", keep=features) as record:
            tiny_vit(x)
        flat = record.readings[0][features].transpose(1, 2).flatten(2)[0, 1:]
        s = torch.linalg.svdvals((flat - flat.mean(0)).double())
        explained = (s.square() / s.square().sum())[:3]
        assert parts.facts["explained"][0] == pytest.approx(explained.tolist(), rel=1e-4)


def test_discover_at_another_site(tiny_vit: nn.Module, x: Tensor) -> None:
    early = rg.discover(tiny_vit, x, "pca", site="blocks.0.attn")
    assert early.site == "k at blocks.0.attn"
    assert not np.allclose(early.values, rg.discover(tiny_vit, x, "pca").values)


@pytest.mark.weights
def test_discover_finds_the_object(dinov2: nn.Module) -> None:
    parts = rg.discover(dinov2, rg.image("sample:coffee", like=dinov2, patches=200))
    assert parts.method == "tokencut"
    assert parts.mask is not None
    h, w = parts.mask.shape[1:]
    inside, corner = parts.mask[0, h // 3 : -h // 3, w // 3 : -w // 3].mean(), parts.mask[0, :2, :2].mean()
    assert inside > 0.7 > 0.3 > corner


def test_discover_refuses(tiny_vit: nn.Module, cnn: nn.Module, x: Tensor, part: Tensor) -> None:
    with refused(MethodError, "no object named 'tokencat'", "'tokencut'"):
        rg.discover(tiny_vit, x, "tokencat")
    with refused(MethodError, "no feature named 'keys'", "one of q, k, v"):
        rg.discover(tiny_vit, x, features="keys")  # type: ignore[arg-type]
    with refused(CallError, "no attention of this model lies on a grid", "regard.sites"):
        rg.discover(cnn, part)
    blank: Any = copy.deepcopy(tiny_vit)
    with torch.no_grad():
        blank.blocks[11].attn.qkv.weight.zero_()
    with pytest.raises(DegenerateError):
        rg.discover(blank, x)


# methods, card, papers


def test_methods_lists_the_catalogue() -> None:
    table = rg.methods()
    assert table.columns == ("family", "name", "what it does", "paper")
    live = {(f, name, c.summary, c.paper) for f in registry.FAMILIES for name, c in registry.cards(f).items()}
    assert set(table.rows) == live
    assert set(rg.methods("metrics").column("name")) == set(registry.cards("metrics"))
    with refused(MethodError, "no family named 'metric'", "'metrics'"):
        rg.methods("metric")


def test_card_by_short_and_full_name() -> None:
    assert rg.card("rollout") == rg.card("explainers.rollout") == registry.cards("explainers")["rollout"].to_dict()
    assert (
        rg.card("integrated-gradients") == rg.card("explainers.integrated-gradients") == rg.card("integrated_gradients")
    )
    with refused(MethodError, "no method named 'rolout'", "'rollout'.*regard list"):
        rg.card("rolout")


def test_a_short_name_of_two_methods_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    twins = {"methods": [{"family": f, "name": "row", "paper": "rise"} for f in ("probes", "objects")]}
    monkeypatch.setattr(registry, "catalogue", lambda: twins)
    assert rg.card("objects.row")["family"] == "objects"
    with refused(MethodError, "'row' names 2 methods", "one of probes.row, objects.row"):
        rg.card("row")


def test_papers_filters() -> None:
    every = rg.papers()
    assert len(every.rows) == 279
    assert every.columns == ("key", "state", "year", "title", "family", "shown by")
    with_cited = rg.papers(cited=True)
    assert len(with_cited.rows) > 279
    assert with_cited.rows[:279] == every.rows
    assert "rollout" in set(with_cited.column("key")) - set(every.column("key"))
    assert rg.papers("TokenCut").column("key") == ["tokencut"]
    assert rg.papers("no paper says this").rows == ()
    states = [rg.papers(state=s, cited=True).column("key") for s in ("planned", "built", "works")]  # type: ignore[arg-type]
    assert sorted(key for keys in states for key in keys) == sorted(with_cited.column("key"))
    assert set(rg.papers(state="planned").column("state")) == {"planned"}
    with refused(MethodError, "no state named 'plan'", "one of planned, built, works"):
        rg.papers(state="plan")  # type: ignore[arg-type]


# look


@pytest.mark.weights
def test_look_settings_and_source(tiny_vit: nn.Module, tmp_path: Path) -> None:
    from PIL import Image

    photo = tmp_path / "grey.png"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)).save(photo)
    seen = rg.look(photo, model=tiny_vit, patches=100, orders=2, steps=2, seed=4)
    assert (seen.source, seen.name) == (str(photo), "grey.png")
    s = seen.settings
    name = "random:vit_tiny_patch16_224"
    assert (s.model, s.patches, s.target, s.orders, s.steps, s.seed) == (name, 100, None, 2, 2, 4)
    assert seen.attention is not None
    assert (seen.attention.heads, seen.verdict) == (3, None)
    rolled = rg.explain(tiny_vit, rg.image(photo, like=tiny_vit), method="rollout")
    assert np.allclose(seen.maps["rollout"].values, rolled.values, atol=1e-6)
    with pytest.raises(MethodError, match="no model named 'nothing'"):
        rg.look(photo, model="nothing")
    with pytest.raises(DataError, match="no file"):
        rg.look(tmp_path / "none.png")


@pytest.mark.parametrize("bad", [-1, "a", 1.5, True, None])
def test_what_is_no_seed_is_refused_by_every_verb(bad: Any) -> None:
    model, x = PlantedCNN(), planted_pictures([(2, 5)])
    heat = rg.Map(np.arange(64.0).reshape(1, 8, 8), rg.Grid(8, 8), "mine")
    for verb in (
        lambda: rg.explain(model, x, method="gradcam", seed=bad),
        lambda: rg.score(heat, model, x, seed=bad),
        lambda: rg.bank(model, x, heat, seed=bad),
        lambda: rg.masks(model, x, heat, seed=bad),
        lambda: rg.compare(model, x, methods=["gradcam"], seed=bad),
    ):
        with refused(MethodError, f"a seed is no {bad!r}", "a whole number, 0 or more"):
            verb()


def test_options_that_are_no_mapping_are_refused() -> None:
    with refused(MethodError, "options are a mapping, got list", 'options={"steps": 64}'):
        rg.explain(PlantedCNN(), planted_pictures([(2, 5)]), method="integrated_gradients", options=["steps"])  # type: ignore[arg-type]
