"""Facts: read off models by value, kept beside them, and where assumed, assumed aloud."""

from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

import regard as rg
from regard.models import facts as module
from regard.models.facts import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Facts,
    facts_of,
    hf_facts,
    imagenet_names,
    named,
    remember,
    timm_facts,
)


def bare(name: str, **given: Any) -> Any:
    """A timm model as a user makes it, without regard."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        return timm.create_model(name, pretrained=False, **given)


HALF = (0.5, 0.5, 0.5)
TIMM: dict[str, dict[str, Any]] = {  # out of timm's own configuration files
    "vit_tiny_patch16_224": {"size": (224, 224), "patch": 16, "crop": 0.9, "mean": HALF, "std": HALF},
    "resnet18": {"size": (224, 224), "patch": None, "crop": 0.95, "mean": IMAGENET_MEAN, "std": IMAGENET_STD},
    "swin_tiny_patch4_window7_224": {"size": (224, 224), "patch": 4, "crop": 0.9, "interpolation": "bicubic"},
    "vit_small_patch14_dinov2": {"size": (518, 518), "patch": 14, "crop": 1.0, "classes": ()},
    "regnetx_002": {"size": (224, 224), "interpolation": "bicubic", "crop": 0.875},
    "densenet121": {"size": (224, 224), "interpolation": "bicubic", "crop": 0.875},
    "inception_v3": {"size": (299, 299), "interpolation": "bicubic", "crop": 0.875},
}


@pytest.mark.parametrize("name", TIMM)
def test_timm_facts_by_value(name: str) -> None:
    model = bare(name)
    found = facts_of(model)
    assert {k: getattr(found, k) for k in TIMM[name]} == TIMM[name]
    assert found.name == f"timm:{name}"
    assert found.fit == "crop"
    assert found.weights == "given by the caller"
    assert found.assumed == ()


def test_facts_are_timms_own_preprocessing() -> None:
    """Against timm's resolve_data_config, for one model of each kind of configuration."""
    for name in (
        "resnet18",
        "vit_tiny_patch16_224",
        "convnext_tiny",
        "mobilenetv3_large_100",
        "vit_base_patch16_clip_224",
    ):
        model = bare(name)
        config = timm.data.resolve_data_config({}, model=model)
        found = facts_of(model)
        assert (3, *found.size) == config["input_size"]
        assert (found.crop, found.interpolation) == (config["crop_pct"], config["interpolation"])
        assert (found.mean, found.std) == (config["mean"], config["std"])


def test_size_of_a_model_made_for_another_size() -> None:
    assert facts_of(bare("vit_tiny_patch16_224", img_size=(96, 128))).size == (96, 128)


def test_a_model_of_free_size_is_free() -> None:
    found = facts_of(bare("vit_tiny_patch16_224", dynamic_img_size=True))
    assert (found.fit, found.patch) == ("free", 16)


def test_another_number_of_classes_has_no_names() -> None:
    assert facts_of(bare("resnet18", num_classes=10)).classes == ()
    assert len(facts_of(bare("resnet18")).classes) == 1000


def test_a_crop_that_timm_does_not_make_is_said() -> None:
    model = bare("resnet18")
    model.pretrained_cfg = model.pretrained_cfg | {"crop_mode": "squash"}
    assert facts_of(model).assumed == ("centre crop, where timm's configuration says 'squash'",)


@pytest.mark.parametrize(("given", "found"), [("lanczos", "lanczos"), ("random", "bicubic"), (None, "bicubic")])
def test_interpolation_is_one_that_regard_has(given: Any, found: str) -> None:
    model = bare("resnet18")
    model.pretrained_cfg = model.pretrained_cfg | {"interpolation": given}
    assert facts_of(model).interpolation == found


def test_a_licence_that_is_not_given_is_unknown() -> None:
    model = bare("resnet18")
    assert facts_of(model).licence == "apache-2.0"
    model.pretrained_cfg = {k: v for k, v in model.pretrained_cfg.items() if k not in ("license", "crop_pct")}
    assert (facts_of(model).licence, facts_of(model).crop) == ("unknown", 1.0)


class Foreign(nn.Module):
    """A model that says nothing about itself."""

    def __init__(self, **given: Any) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 1, device="meta")
        for name, value in given.items():
            setattr(self, name, value)


def test_a_foreign_module_is_assumed_aloud() -> None:
    model = Foreign()
    before = dict(vars(model))
    found = facts_of(model)
    assert found == Facts(
        name="Foreign",
        size=(224, 224),
        patch=None,
        fit="crop",
        crop=1.0,
        interpolation="bicubic",
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        classes=(),
        weights="given by the caller",
        licence="unknown",
        assumed=("input 224 x 224", "ImageNet mean and standard deviation", "class names unknown"),
    )
    assert vars(model) == before
    assert rg.image("sample:coffee", like=model).shape == (1, 3, 224, 224)


@pytest.mark.parametrize("cfg", [None, "resnet18"])
def test_a_pretrained_cfg_that_is_no_dictionary_is_not_timms(cfg: Any) -> None:
    assert facts_of(Foreign(pretrained_cfg=cfg)).assumed != ()


def config(**given: Any) -> Any:
    return SimpleNamespace(**({"image_size": 64, "patch_size": 8} | given))


@pytest.mark.parametrize("size", [64, (64, 64), [64, 64]])
def test_transformers_facts_by_value(size: Any) -> None:
    found = facts_of(Foreign(config=config(image_size=size)))
    assert (found.name, found.size, found.patch, found.fit) == ("Foreign", (64, 64), 8, "crop")
    assert found.assumed == ("ImageNet mean and standard deviation",)
    assert facts_of(Foreign(config=config(image_size=(64, 96)))).size == (64, 96)
    assert facts_of(Foreign(config=config(patch_size=(8, 4)))).patch is None


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ({0: "cat", 1: "dog", 2: "cup"}, ("cat", "dog", "cup")),
        ({2: "cup", 0: "cat", 1: "dog"}, ("cat", "dog", "cup")),
        ({0: "no tumour", 1: "tumour"}, ("no tumour", "tumour")),
        ({0: "LABEL_0", 1: "LABEL_1"}, ()),
        ({0: "LABEL_0", 1: "tumour"}, ("LABEL_0", "tumour")),
        ({i: f"LABEL_{i}" for i in range(5)}, ()),
        ({}, ()),
        (None, ()),
    ],
)
def test_class_names_of_transformers(labels: Any, classes: tuple[str, ...]) -> None:
    """A stand-in such as LABEL_3 is no name."""
    assert hf_facts(Foreign(config=config(id2label=labels)), "x").classes == classes


def test_a_config_without_a_picture_is_not_a_vision_models() -> None:
    assert "input 224 x 224" in facts_of(Foreign(config=SimpleNamespace(hidden_size=3))).assumed


def test_remembered_facts_win_and_do_not_touch_the_module() -> None:
    model = bare("resnet18")
    before = set(vars(model))
    facts = Facts(name="mine", size=(32, 32))
    assert remember(model, facts) is model
    assert facts_of(model) is facts
    assert set(vars(model)) == before


def test_facts_do_not_keep_a_model_alive() -> None:
    model = remember(Foreign(), Facts(name="mine"))
    before, gone = len(module._known), weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
    assert len(module._known) < before


def test_imagenet_names() -> None:
    names = imagenet_names(1000)
    assert len(names) == 1000
    assert names[281].startswith("tabby")
    assert names[967].startswith("espresso")
    assert imagenet_names(999) == imagenet_names(0) == imagenet_names(21843) == ()


def test_named_changes_the_name_only() -> None:
    facts = Facts(name="a", size=(1, 2), classes=("x",))
    assert named(facts, "b") == Facts(name="b", size=(1, 2), classes=("x",))


def test_facts_decide_what_the_model_sees() -> None:
    """Mean and standard deviation by hand on a flat picture."""
    facts = Facts(name="a", size=(8, 8), mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.125))
    model = remember(Foreign(), facts)
    x = rg.image(np.full((20, 20, 3), 0.6, dtype=np.float32), like=model)
    assert x.device.type == "meta"  # as the model
    model.linear = model.linear.to_empty(device="cpu")
    x = rg.image(np.full((20, 20, 3), 0.6, dtype=np.float32), like=model)
    assert x.shape == (1, 3, 8, 8)
    assert torch.allclose(x[0, :, 4, 4], torch.tensor([1.0, 1.6, 2.4]), atol=1e-5)


def test_timm_facts_takes_the_name_and_weights_it_is_given() -> None:
    found = timm_facts(bare("resnet18"), "random:resnet18", weights="random, seed 3")
    assert (found.name, found.weights) == ("random:resnet18", "random, seed 3")
