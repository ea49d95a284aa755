from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard as rg

from .models import Net, draw, explained, slope, values


def stretched(part: torch.Tensor) -> torch.Tensor:
    size = part.abs().flatten(1)
    low, high = size.min(1, keepdim=True).values, size.max(1, keepdim=True).values
    return ((size - low) / (high - low)).view_as(part)


def test_is_the_sum_of_stretched_maps_by_hand() -> None:
    model, x = Net(bias=True), draw(2, 3, 9, 7)
    kept: list[torch.Tensor] = []
    hooks = [m.register_forward_hook(lambda _, __, out: kept.append(out) or out.clone()) for m in _convolutions(model)]
    y = model(x)[:, 1].sum()
    gradients = torch.autograd.grad(y, kept)
    for hook in hooks:
        hook.remove()
    wanted = stretched(x * slope(model, x)).sum(1)
    for conv, gradient in zip(_convolutions(model), gradients, strict=True):
        assert conv.bias is not None
        part = stretched(gradient * conv.bias.view(1, -1, 1, 1)).detach()
        wanted += F.interpolate(part, (9, 7), mode="bilinear").sum(1)
    made = explained(model, x, "fullgrad")
    torch.testing.assert_close(values(made), wanted)
    assert made.gap < 1e-12


def _convolutions(model: Net) -> list[nn.Conv2d]:
    return [model.first, model.second]


@pytest.mark.parametrize("scale", ["channel", "none"])
def test_other_scales(scale: str) -> None:
    made = explained(Net(bias=True), draw(1, 3, 9, 7), "fullgrad", scale=scale)
    assert made.values.min() >= 0
    assert made.settings == {"scale": scale}


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "resnet18", "convnext_atto", "efficientnet_lite0"])
def test_whole_networks_are_complete(name: str) -> None:
    """Also a ViT: LayerNorm, GELU and attention have implied biases, embeddings are added."""
    model = rg.model(f"random:{name}")
    made = explained(model, rg.image("sample:coffee", like=model), "fullgrad", 7)
    assert made.gap < 1e-4
    assert made.values.std() > 0


def test_what_no_module_accounts_for_is_told() -> None:
    class Gated(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x) * x.mean((1, 2, 3)).sigmoid()[:, None]

    assert explained(Gated(bias=True), draw(1, 3, 9, 7), "fullgrad").gap > 1e-3
