"""fullgrad works: complete on ReLU networks, EfficientNet-lite0 and DINOv2; equal to a published implementation."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

import regard as rg
from regard.testing.marks import works

from .evidence import evidence, held


@works("fullgrad")
@pytest.mark.weights
def test_is_complete_with_implicit_biases(efficientnet: nn.Module, dinov2: nn.Module) -> None:
    """Residuals measured: resnet18 9e-8, EfficientNet-lite0 (batch norm and ReLU6) 8e-8, DINOv2-small 4e-6."""
    resnet = rg.model("random:resnet18")
    for model in (resnet, efficientnet, dinov2):
        x = rg.image("sample:coffee", like=model, patches=200)
        assert rg.explain(model, x, method="fullgrad", target=7).gap < 1e-4


@works("fullgrad")
@pytest.mark.peers
def test_agrees_with_grad_cams_implementation() -> None:
    """Which stretches each channel by itself, and resizes before it sums: the maps, stretched, to 1e-3 of their range.

    A network whose layers have the picture's size, so that no resizing differs.
    """
    cam = pytest.importorskip("pytorch_grad_cam")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
        ).eval()  # fmt: skip
        model[-1].weight.data *= 1e5  # grad-cam adds 1e-7 to what it divides by
    x = torch.randn(1, 3, 24, 32, generator=torch.Generator().manual_seed(1))
    with cam.FullGrad(model, target_layers=[]) as peer:
        theirs = peer(x.clone(), [targets.ClassifierOutputTarget(2)])[0]
    ours = rg.explain(model, x, method=partial(rg.explainers.fullgrad, scale="channel"), target=2).values[0]
    stretched = (ours - ours.min()) / (ours.max() - ours.min())
    assert np.abs(stretched - theirs).max() < 1e-3


@pytest.mark.weights
@pytest.mark.slow
def test_its_peak_lies_on_composited_objects(efficientnet: nn.Module) -> None:
    """12 of 12 (the centre: 7 of 12)."""
    items = list(evidence(efficientnet))
    found = [held(rg.explain(efficientnet, x, method="fullgrad", target=t), truth)[1] for x, t, truth in items]
    centre = [bool(truth[truth.shape[0] // 2, truth.shape[1] // 2]) for *_, truth in items]
    assert np.mean(found) > 0.9
    assert np.mean(found) > np.mean(centre) + 0.2
