"""`Looker`: everything is there, each part can be refused alone, and each doubt is said in the box on trust."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from regard.errors import CallError, DataError, DegenerateError, ExtraError, LayoutError, MethodError, RegardError
from regard.layout import Grid
from regard.looking import look as module
from regard.looking.look import (
    Clock,
    Look,
    Looker,
    Settings,
    environment,
    importance,
    printable,
    record_maps,
    seen_part,
)
from regard.models.facts import Facts, remember
from regard.models.picture import Picture, read_picture
from regard.models.prepare import prepare
from regard.registry import Chosen
from regard.results import Map

from .vits import ByHand, cnn, facts, picture, planted, vit, without_prefix

QUICK = Settings(model="planted", patches=40, orders=19, steps=4)


class Absent(nn.Module):
    """Stands for the importance model where a test is not about it."""


@pytest.fixture(autouse=True)
def quick_importance(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "dinov2" in request.fixturenames:
        return

    def fake(model: nn.Module, one: Picture, patches: int) -> Map:
        values = np.full((1, 2, 3), float(one.rgb.mean()))
        values[0, 0, 0] += 0.1
        return Map(values, module.Grid(2, 3), "img-focus", unit="importance")

    monkeypatch.setattr(Looker, "focus", Absent())
    monkeypatch.setattr(module, "importance", fake)


def looked(model: nn.Module, settings: Settings = QUICK, one: Picture | None = None) -> Look:
    return Looker(settings, given=model).look(one or picture(), source="spot.png")


def lines(look: Look, what: str) -> list[str]:
    return [f"{line.level}: {line.text}" for line in look.trust if line.what == what]


def raising(error: RegardError) -> Callable[..., Any]:
    def function(*_: Any, **__: Any) -> Any:
        raise error

    return function


def test_everything_is_there_and_belongs_together() -> None:
    one = looked(planted())
    assert one.attention is not None
    assert one.verdict is not None
    assert set(one.maps) == {"attention", "rollout", "importance", "gradcam"}
    assert set(one.parts) == {"tokencut", "pca"}
    assert not one.refusals
    assert (one.name, one.source, one.facts.name) == ("spot.png", "spot.png", "planted")
    assert one.seen.shape == (32, 32, 3)
    np.testing.assert_array_equal(one.maps["gradcam"].values, one.verdict.explanation.values)
    np.testing.assert_allclose(one.maps["attention"].values[0], one.attention.maps()[-1].mean(0), rtol=1e-5)
    assert np.unravel_index(one.maps["attention"].values[0].argmax(), (8, 8)) == (2, 5)
    assert "The model calls it redness (" in one.lead
    assert one.lead.endswith("Grad-CAM for redness is strongest at the top right.")
    assert len(one.words) == 4
    stages = {
        "preparing the photo",
        "attention",
        "tokencut",
        "pca",
        "importance",
        "explanation and its null",
        "controls",
    }
    assert set(one.seconds) == stages
    assert all(s >= 0 for s in one.seconds.values())


def test_trust_has_a_line_for_every_control() -> None:
    one = looked(planted())
    whats = [line.what for line in one.trust]
    assert whats[:2] == ["watched", "exactness"]
    assert whats.count("mirror") == whats.count("shuffled weights") == whats.count("centre") == 2
    assert lines(one, "watched") == [
        "good: 2 of 2 attention calls, 2 heads each, on a grid of 8 x 8 patches and 1 prefix token (read off embed)."
    ]
    assert "good" in lines(one, "exactness")[0]
    assert one.verdict is not None
    for name in ("deletion", "insertion"):
        score = one.verdict.scores[name]
        assert score.p is not None
        verdict = "better than chance" if score.p <= 0.05 else "not distinguishable from a random map"
        (text,) = lines(one, name)
        assert f"{score.value:.3f} ({score.direction} is better); 19 random maps" in text
        assert text.endswith(f"p = {score.p:.2g}: {verdict}.")
        assert text.startswith("good" if score.p <= 0.05 else "warn")


def test_two_looks_give_the_same() -> None:
    looker = Looker(QUICK, given=planted())
    first, second = looker.look(picture()), looker.look(picture())
    assert (first.lead, first.words) == (second.lead, second.words)
    assert first.trust == second.trust
    for name in first.maps:
        np.testing.assert_array_equal(first.maps[name].values, second.maps[name].values)


def test_the_model_is_left_as_it_was() -> None:
    model = planted()
    before = {n: w.clone() for n, w in model.state_dict().items()}
    looked(model)
    assert all(torch.equal(w, before[n]) for n, w in model.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert not model.training


@pytest.mark.parametrize("name", ["tokencut", "pca"])
def test_a_degenerate_part_is_refused_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    genuine = module.run.parts

    def parts(chosen: Chosen, record: Any) -> Any:
        if chosen.card.name == name:
            raise DegenerateError("the graph holds no cut", hint="another photo")
        return genuine(chosen, record)

    monkeypatch.setattr(module.run, "parts", parts)
    one = looked(planted())
    assert set(one.parts) == {"tokencut", "pca"} - {name}
    assert dict(one.refusals) == {name: "the graph holds no cut"}
    assert lines(one, "refused") == [f"note: {name}: the graph holds no cut."]


@pytest.mark.parametrize("error", [ExtraError.missing("img_focus", "demo", "importance"), DataError("gone", hint="x")])
def test_importance_is_refused_alone(monkeypatch: pytest.MonkeyPatch, error: RegardError) -> None:
    monkeypatch.setattr(module, "importance", raising(error))
    one = looked(planted())
    assert "importance" not in one.maps
    assert dict(one.refusals) == {"importance": error.message}
    assert one.verdict is not None
    assert lines(one, "refused") == [f"note: importance: {error.message}."]


@pytest.mark.parametrize("kind", [CallError, DegenerateError])
def test_an_explanation_that_cannot_be_had_is_refused_alone(
    monkeypatch: pytest.MonkeyPatch, kind: type[RegardError]
) -> None:
    monkeypatch.setattr(module, "classify", raising(kind("no layer to read", hint="another model")))
    one = looked(planted())
    assert one.verdict is None
    assert "gradcam" not in one.maps
    assert dict(one.refusals) == {"explanation": "no layer to read"}
    assert one.lead.startswith("The CLS token's attention")


def test_a_classifier_without_any_layer_on_a_grid_is_refused_by_its_own_reason() -> None:
    with torch.random.fork_rng(devices=[]):
        flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 3))
    one = looked(remember(flat.eval(), facts("mlp", classes=("a", "b", "c"))))
    assert one.attention is None
    assert "no layer of this model has an output [B, C, h, w]" in one.refusals["explanation"]


def test_an_unknown_target_is_an_error_not_a_refusal() -> None:
    with pytest.raises(MethodError, match="no class named 'teapot'"):
        looked(planted(), dataclasses.replace(QUICK, target="teapot"))


def test_a_target_that_no_class_can_answer_is_not_dropped_in_silence() -> None:
    one = looked(vit(), dataclasses.replace(QUICK, target="tabby"))
    assert one.verdict is None
    assert lines(one, "refused") == ["note: target: the model has no named classes, so 'tabby' was not explained."]


def test_a_target_is_explained_beside_the_first_class() -> None:
    one = looked(planted(), dataclasses.replace(QUICK, target="void"))
    assert one.verdict is not None
    assert one.verdict.explanation.target == "nothing"
    assert one.lead.startswith("The model calls it redness")
    assert "for nothing" in one.lead or "speaks for nothing" in one.lead


def test_a_model_without_attention() -> None:
    one = looked(cnn())
    assert one.attention is None
    assert not one.parts
    assert not one.words
    assert set(one.maps) == {"importance", "gradcam"}
    assert lines(one, "watched") == ["note: No attention call on a grid of patches: nothing to show of attention."]


def test_a_model_with_nothing_says_so() -> None:
    with torch.random.fork_rng(devices=[]):
        bare = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1))
    one = looked(remember(bare.eval(), facts("bare")))
    assert one.lead == "This model has neither attention on a grid nor named classes to look at."


def test_a_model_without_prefix_shows_what_is_received() -> None:
    one = looked(without_prefix())
    assert one.attention is not None
    assert one.attention.who == "received"
    assert record_maps(one.attention) == {}
    assert "0 prefix tokens" in lines(one, "watched")[0]
    assert lines(one, "mirror")[0].split(": ", 1)[1].startswith("Received attention of the mirrored photo")


def test_cautions(monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand = remember(ByHand().train(), Facts("by-hand", size=(32, 32), assumed=("its input size",)))
    wide = Picture(np.ascontiguousarray(np.tile(picture().rgb, (1, 3, 1))), "wide.png", ("turned upright",))
    one = looked(by_hand, one=wide)
    assert lines(one, "not covered") == [
        "warn: 1 call is not shown here: (root): attention by hand whose weights [4, 64, 64] have no known head axis"
    ]
    assert lines(one, "assumed") == ["note: its input size: the model does not say."]
    assert lines(one, "mode") == ["warn: The model is in training mode: dropout and batch statistics act."]
    assert lines(one, "picture") == ["note: Turned upright.", "note: The model sees the central 33 % of the picture."]


def test_a_blank_map_is_called_degenerate() -> None:
    model = vit()
    with torch.no_grad():
        for block in model.blocks:
            block.attn.qkv.weight.zero_()
    one = looked(model)
    assert any("attention: map 0: " in text for text in lines(one, "degenerate"))


def test_importance_is_that_of_the_part_the_model_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is drawn over that part: of the whole photo it would be squeezed and in the wrong place."""
    given: list[Picture] = []

    def spy(model: nn.Module, one: Picture, patches: int) -> Map:
        given.append(one)
        return Map(np.eye(2)[None], module.Grid(2, 2), "img-focus")

    monkeypatch.setattr(module, "importance", spy)
    wide = Picture(np.random.default_rng(0).random((64, 128, 3), dtype=np.float32), "wide.png")
    looked(cnn(), one=wide)
    np.testing.assert_array_equal(given[0].rgb, wide.rgb[:, 32:96])


def test_the_seen_part_of_the_smallest_pictures_is_not_empty() -> None:
    for h, w in ((1, 1), (4, 1), (1, 5), (2, 7)):
        one = Picture(np.zeros((h, w, 3), dtype=np.float32), "speck")
        part = seen_part(one, prepare(one, facts("planted")))
        assert part.width >= 1
        assert part.height >= 1


def test_importance_is_the_decoders_mean_over_half_patches(dinov2: nn.Module) -> None:
    focus = Looker(Settings(), given=dinov2).focus
    one = read_picture("sample:coffee")
    got = importance(focus, one, 24)
    with torch.inference_mode():
        full = focus(prepare(one, module.facts_of(focus), patches=24).x)[0, 0].numpy()
    h, w = full.shape[0] // 7, full.shape[1] // 7
    assert got.values.shape == (1, h, w)
    np.testing.assert_allclose(got.values[0], full.reshape(h, 7, w, 7).mean((1, 3)), rtol=1e-5)
    assert (got.forwards, got.unit) == (1, "importance")


def test_dinov2_by_name(dinov2: nn.Module) -> None:
    one = Looker(Settings(patches=40)).look(read_picture("sample:coffee"), source="sample:coffee")
    assert one.facts.name == "dinov2-small"
    assert one.verdict is None
    assert set(one.maps) == {"attention", "rollout", "importance"}
    assert set(one.parts) == {"tokencut", "pca"}
    assert not one.refusals
    assert one.attention is not None
    assert (len(one.attention.sites), one.attention.heads) == (12, 6)


def test_the_clock_adds_up_also_after_an_error() -> None:
    clock = Clock()
    with clock("a"):
        pass
    first = clock.seconds["a"]
    with pytest.raises(ZeroDivisionError), clock("a"):
        raise ZeroDivisionError
    assert clock.seconds["a"] > first


def test_names_that_are_no_utf8_become_writable() -> None:
    assert printable("写真.png") == "写真.png"
    assert printable("caf\udce9.png") == "caf?.png"
    one = looked(vit(), one=dataclasses.replace(picture(), name="caf\udce9.png"))
    one.name.encode("utf-8")


def test_environment_names_versions() -> None:
    told = environment()
    assert told["torch"] == torch.__version__
    assert set(told) == {"regard", "torch", "python", "machine"}


def test_without_random_maps_chance_is_not_known() -> None:
    one = looked(planted(), dataclasses.replace(QUICK, orders=0))
    assert [line.split(":")[0] for line in lines(one, "deletion")] == ["note"]
    assert "no random maps were drawn" in lines(one, "deletion")[0]
    assert one.verdict is not None
    assert one.verdict.scores["deletion"].p is None


@pytest.mark.parametrize(("inside", "outside", "level"), [(0.9, 0.1, "good"), (0.1, 0.9, "warn")])
def test_the_object_is_held_against_importance(
    monkeypatch: pytest.MonkeyPatch, inside: float, outside: float, level: str
) -> None:
    mask = looked(planted()).parts["tokencut"].mask
    assert mask is not None
    values = np.where(mask[:1], inside, outside).astype(np.float32)
    monkeypatch.setattr(module, "importance", lambda *_: Map(values, Grid(*values.shape[1:]), "img-focus"))
    (told,) = lines(looked(planted()), "object")
    assert told.startswith(f"{level}: Predicted importance averages {inside:.2f} inside the object and {outside:.2f}")


def test_too_few_random_maps_cannot_condemn() -> None:
    one = looked(planted(), dataclasses.replace(QUICK, orders=9))
    (text,) = lines(one, "deletion")
    assert text.startswith("note: Deletion")
    assert text.endswith("9 random maps are too few: p cannot fall below 0.1.")


@pytest.mark.parametrize("patches", [0, -3, 4097])
def test_a_look_has_bounds(patches: int) -> None:
    with pytest.raises(LayoutError, match=f"a look at {patches} patches"):
        Settings(patches=patches)


def test_repr_of_a_look_is_its_lead() -> None:
    one = looked(planted())
    assert repr(one).startswith(f"Look({one.name}, {one.facts.name}: {one.lead} Trust: ")
    assert len(repr(one)) < 600
