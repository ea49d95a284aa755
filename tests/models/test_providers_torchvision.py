"""torchvision's classifiers: their facts to the pixel, and weights that come with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models as vision

import regard as rg
from regard.models import providers
from regard.models.facts import facts_of

pytest.importorskip("transformers")
pytestmark = pytest.mark.usefixtures("no_network")


@pytest.mark.parametrize(
    ("name", "size", "crop", "interpolation"),
    [
        ("resnet18", 224, 224 / 256, "bilinear"),
        ("resnet50", 224, 224 / 232, "bilinear"),
        ("swin_v2_t", 256, 256 / 260, "bicubic"),
        ("inception_v3", 299, 299 / 342, "bilinear"),
    ],
)
def test_torchvision_facts_by_value(name: str, size: int, crop: float, interpolation: str) -> None:
    found = providers.torchvision_facts(f"torchvision:{name}", vision.get_model_weights(name).DEFAULT)
    assert (found.size, found.crop, found.interpolation) == ((size, size), crop, interpolation)
    assert (found.mean, found.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert len(found.classes) == 1000
    assert found.classes[281] == "tabby"
    assert found.weights.startswith(vision.get_model_weights(name).__name__)


@pytest.mark.parametrize("name", vision.list_models(module=vision))
def test_every_torchvision_classifier_has_facts(name: str) -> None:
    """The short side that `size / crop` gives back is torchvision's, to the pixel."""
    weights = vision.get_model_weights(name).DEFAULT
    found = providers.torchvision_facts(name, weights)
    assert int(found.size[0] / found.crop) == weights.transforms().resize_size[0]


def test_torchvision_weights_come_with_their_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The download itself is faked: weights of that name, without the net."""
    asked: list[Any] = []
    real = vision.get_model

    def get_model(name: str, weights: Any) -> nn.Module:
        asked.append(weights)
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            return real(name, weights=None)

    monkeypatch.setattr(vision, "get_model", get_model)
    model = rg.model("torchvision:resnet18")
    assert asked == [vision.ResNet18_Weights.DEFAULT]
    assert not model.training
    assert (facts_of(model).name, facts_of(model).licence) == ("torchvision:resnet18", "BSD-3-Clause (torchvision)")


def test_torchvision_facts_prepare_as_torchvision_does() -> None:
    from PIL import Image
    from skimage import data

    model = rg.model("random:torchvision:resnet18")
    theirs = vision.ResNet18_Weights.DEFAULT.transforms()(Image.fromarray(data.rocket()))[None]
    ours = rg.image("sample:rocket", like=model)
    assert float((ours - theirs).abs().max()) < 1e-5
    assert np.isfinite(ours.numpy()).all()
