"""Interaction maps by hand and through a watch; the decoder's shapes, gradients and box order."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import regard as rg
from regard.errors import LayoutError
from regard.gaze.following.vitgaze import ViTGaze, interactions
from regard.layout import Grid


def test_by_hand() -> None:
    g = torch.Generator().manual_seed(0)
    grid = Grid(2, 3, prefix=2)
    layers = [torch.rand(2, 3, 8, 8, generator=g, dtype=torch.float64).softmax(-1) for _ in range(2)]
    head = torch.rand(2, 2, 3, generator=g, dtype=torch.float64)
    made = interactions(layers, head, grid)
    for b in range(2):
        for layer in range(2):
            for h in range(3):
                row = sum(head[b].flatten()[n] / head[b].sum() * layers[layer][b, h, 2 + n, 2:] for n in range(6))
                assert torch.allclose(made[b, 3 * layer + h].flatten(), 6 * row, atol=1e-12)


def test_through_a_watch(tiny_vit: nn.Module) -> None:
    x = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with rg.watch(tiny_vit, "blocks.{2,5}.attn", keep=["probs"]) as record, torch.no_grad():
        tiny_vit(x)
    kept = [one.values["probs"] for one in record]
    head = torch.zeros(1, 14, 14)
    head[:, 3, 4] = 1
    made = interactions(kept, head, Grid(14, 14, prefix=1))
    assert made.shape == (1, 6, 14, 14)
    assert torch.allclose(made[0, 4].flatten(), kept[1][0, 1, 1 + 3 * 14 + 4, 1:] * 196, atol=1e-5)


def test_people_in_any_order_and_gradients() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = ViTGaze(maps=6, features=8)
    g = torch.Generator().manual_seed(0)
    maps, token = torch.rand(3, 6, 5, 7, generator=g), torch.rand(3, 8, generator=g)
    place, inside = model(maps, token)
    assert place.shape == (3, 20, 28)
    (place.square().sum() + inside.sum()).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
    model.eval()
    order = torch.tensor([2, 0, 1])
    place, inside = model(maps, token)
    mixed, other = model(maps[order], token[order])
    assert torch.allclose(place[order], mixed, atol=1e-6)
    assert torch.allclose(inside[order], other, atol=1e-6)


def test_refusals() -> None:
    probs = torch.full((1, 2, 5, 5), 0.2)
    with pytest.raises(LayoutError, match="covers no patch"):
        interactions([probs], torch.zeros(1, 2, 2), Grid(2, 2, prefix=1))
    with pytest.raises(LayoutError, match="0 layers"):
        interactions([], torch.ones(1, 2, 2), Grid(2, 2, prefix=1))
    with pytest.raises(LayoutError):
        interactions([probs], torch.ones(1, 2, 3), Grid(2, 3, prefix=1))
