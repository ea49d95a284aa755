from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import regard as rg
from regard.errors import CallError
from regard.layout import Grid
from regard.mechanisms import ALL
from regard.subjects.tap import Place, auto_place, block_of, tap
from regard.testing.planted import PlantedCNN, PlantedViT, planted_pictures

X = planted_pictures([(2, 5), (6, 6)], dtype=torch.float64)


def class_one(output: Any) -> torch.Tensor:
    return output[:, 1]


def test_gradient_equals_autograd_through_the_whole_network() -> None:
    model = PlantedCNN().double()
    layer, output = tap(model, X, Place("stem", at_input=False, grid=None), class_one)
    kept: list[torch.Tensor] = []
    hook = model.stem.register_forward_hook(lambda _, __, out: kept.append(out))
    plain = model(X)
    hook.remove()
    (gradient,) = torch.autograd.grad(plain[:, 1].sum(), kept[0])
    torch.testing.assert_close(output, plain)
    torch.testing.assert_close(layer.values, kept[0].detach())
    torch.testing.assert_close(layer.gradient, gradient)


def test_tokens_are_laid_out_on_their_grid() -> None:
    model = PlantedViT().double()
    place = Place("blocks.1", at_input=True, grid=Grid(8, 8, prefix=1))
    layer, _ = tap(model, X, place, class_one)
    patches = model.embed(X)
    first = model.blocks[0](torch.cat([model.cls.expand(2, -1, -1), patches.flatten(2).transpose(1, 2)], dim=1))
    torch.testing.assert_close(layer.values, first[:, 1:].transpose(1, 2).unflatten(2, (8, 8)).detach())
    assert layer.address == "input of blocks.1"


def test_no_trace_on_parameters_hooks_or_grad_mode() -> None:
    model = PlantedCNN().double()
    with torch.no_grad():
        tap(model, X, Place("stem", at_input=False, grid=None), class_one)
        assert not torch.is_grad_enabled()
    assert all(p.grad is None for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_hooks_go_after_an_error() -> None:
    model = PlantedCNN().double()

    def fails(_: Any) -> torch.Tensor:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        tap(model, X, Place("stem", at_input=False, grid=None), fails)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_frozen_models_can_be_tapped() -> None:
    model = PlantedCNN().double().requires_grad_(False)
    layer, _ = tap(model, X, Place("stem", at_input=False, grid=None), class_one)
    assert layer.gradient.abs().max() > 0


def test_places_are_chosen_by_what_runs() -> None:
    assert auto_place(PlantedViT().double(), ALL, X) == Place("blocks.1", True, Grid(8, 8, prefix=1))
    assert auto_place(PlantedCNN().double(), ALL, X) == Place("features", False, None)
    cnn = rg.model("random:resnet18")
    assert str(auto_place(cnn, ALL, torch.zeros(1, 3, 64, 64))) == "layer4"


def test_models_without_a_map_are_refused() -> None:
    class Flat(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(1)[:, :3]

    with pytest.raises(CallError, match="no layer of this model has an output"):
        auto_place(Flat(), ALL, X)
    with pytest.raises(CallError, match=r"gives \[2, 3\], which is no map"):
        tap(PlantedCNN().double(), X, Place("head", at_input=False, grid=None), class_one)


def test_block_of() -> None:
    assert block_of("blocks.11.attn") == "blocks.11"
    assert block_of("attn") == "attn"
