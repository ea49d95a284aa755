from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import regard as rg
from regard.core.scope import Mechanisms
from regard.errors import CallError, SiteError
from regard.layout import Grid
from regard.mechanisms import ALL
from regard.subjects.tap import Place, auto_place, auto_places, block_of, channels_last, places_at, put, tap, taps
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


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ((2, 768, 7, 7), False),
        ((2, 7, 7, 768), True),
        ((2, 5, 224, 224), False),
        ((2, 3, 197, 197), None),  # an attention matrix
        ((2, 1, 50, 19), None),
        ((2, 49, 96, 1), None),
        ((2, 8, 1, 1), None),
        ((6, 32, 14, 14), None),
        ((2, 49, 768), None),
    ],
)
def test_a_map_is_the_picture_made_smaller(shape: tuple[int, ...], found: bool | None) -> None:
    assert channels_last(torch.empty(shape, device="meta"), torch.empty(2, 3, 224, 224, device="meta")) is found


def test_oblong_maps_keep_their_sides() -> None:
    x = torch.empty(1, 3, 280, 420, device="meta")
    assert channels_last(torch.empty(1, 9, 20, 30, device="meta"), x) is False
    assert channels_last(torch.empty(1, 20, 30, 9, device="meta"), x) is True
    assert channels_last(torch.empty(1, 9, 30, 20, device="meta"), x) is None


def test_channels_last_is_turned() -> None:
    swin = rg.model("random:swin_tiny_patch4_window7_224")
    x = rg.image("sample:coffee", like=swin)
    heat = rg.explain(swin, x, method="gradcam", target=3)
    assert (heat.values.shape, heat.site) == ((1, 7, 7), "norm")
    caught: list[torch.Tensor] = []
    hook = swin.norm.register_forward_hook(lambda _, __, out: caught.append(out))
    try:
        logits = swin(x)
    finally:
        hook.remove()
    (g,) = torch.autograd.grad(logits[0, 3], caught[0])  # [1, 7, 7, C]
    wanted = (g.mean((1, 2), keepdim=True) * caught[0]).sum(-1).detach()
    torch.testing.assert_close(torch.from_numpy(heat.values), wanted, rtol=1e-3, atol=1e-6)
    kept: dict[str, torch.Tensor] = {}

    def keep(_: nn.Module, __: Any, out: torch.Tensor) -> None:
        out.retain_grad()
        kept["out"] = out

    hook = swin.norm.register_forward_hook(keep)  # type: ignore[union-attr]
    swin(x)[0, 3].backward()
    hook.remove()
    swin.zero_grad()
    out, grad = kept["out"].detach(), kept["out"].grad
    assert grad is not None
    slow = (out * grad.mean((1, 2), keepdim=True)).sum(-1)
    torch.testing.assert_close(torch.from_numpy(heat.values), slow, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["mixer_s32_224", "hiera_tiny_224", "levit_128s"])
def test_a_stem_is_not_the_model(name: str) -> None:
    model = rg.model(f"random:{name}")
    x = rg.image("sample:coffee", like=model)
    with pytest.raises(CallError, match="near its input, has an output"):
        auto_place(model, Mechanisms(calls={}, opens={}, by_hand=lambda *_: None, logits=lambda *_: None), x)


def test_blocks_of_a_vit_can_be_named_as_they_are_reported() -> None:
    vit = rg.model("random:vit_tiny_patch16_224")
    x = rg.image("sample:coffee", like=vit)
    auto = rg.explain(vit, x, method="gradcam", target=3)
    assert auto.site == "blocks.11.norm1"
    named = rg.explain(vit, x, method="gradcam", target=3, site="blocks.11.norm1")
    np.testing.assert_array_equal(auto.values, named.values)
    auto = rg.explain(vit, x, method="gradcam", target=3, site="input of blocks.11")
    earlier = rg.explain(vit, x, method="gradcam", target=3, site="blocks.10")
    np.testing.assert_allclose(earlier.values, auto.values, rtol=1e-5)  # what leaves block 10 enters block 11
    assert rg.explain(vit, x, method="gradcam", target=3, site="blocks.4").site == "blocks.4"


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


def test_depths_are_blocks_or_sizes() -> None:
    vit = [str(p) for p in auto_places(PlantedViT().double(), ALL, X)]
    assert vit == ["input of blocks.0", "input of blocks.1"]
    cnn = rg.model("random:resnet18")
    assert [str(p) for p in auto_places(cnn, ALL, torch.zeros(1, 3, 64, 64))] == [
        "act1", "layer1", "layer2", "layer3", "layer4",
    ]  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        flat = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 2)).double()
    with pytest.raises(CallError, match="no layer of this model has an output"):
        auto_places(flat, ALL, X)


def test_several_places_are_tapped_in_one_run() -> None:
    model = PlantedCNN().double()
    places = places_at("{stem,features}", model, ALL, X)
    together, _ = taps(model, X, places, class_one)
    for place, layer in zip(places, together, strict=True):
        alone, _ = tap(model, X, place, class_one)
        torch.testing.assert_close(layer.values, alone.values)
        torch.testing.assert_close(layer.gradient, alone.gradient)
    with pytest.raises(SiteError, match="stam"):
        places_at("stam", model, ALL, X)


def test_a_tapped_layer_may_be_written_over() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(256, 3)).double()
    layer, _ = tap(model, X, Place("0", at_input=False), class_one)
    torch.testing.assert_close(layer.values, model[0](X).detach())
    assert layer.values.min() < 0
    weights = model[3].weight[1].view(4, 8, 8)
    torch.testing.assert_close(layer.gradient, (weights * (layer.values > 0)).detach())


@pytest.mark.parametrize(
    ("site", "block"),
    [
        ("blocks.11.attn", "blocks.11"),
        ("vit.encoder.layer.3.attention.attention", "vit.encoder.layer.3"),
        ("layers.0.blocks.1.attn", "layers.0.blocks.1"),
        ("encoder.layers.encoder_layer_4.self_attention", "encoder.layers.encoder_layer_4"),
        ("pool.attn", "pool"),
        ("attn", "attn"),
    ],
)
def test_the_block_is_what_the_last_number_counts(site: str, block: str) -> None:
    assert block_of(site) == block


def test_values_are_put_where_they_came_from() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 4, 3, 5, generator=generator)
    for laid in (torch.contiguous_format, torch.channels_last):
        made = put(values, torch.zeros(2, 4, 3, 5).contiguous(memory_format=laid), Place("a", at_input=False))
        assert torch.equal(made, values)
        assert made.is_contiguous(memory_format=laid)
    assert torch.equal(put(values, torch.zeros(2, 3, 5, 4), Place("a", at_input=False)), values.permute(0, 2, 3, 1))
    running = torch.randn(2, 16, 4, generator=generator)
    tokens = put(values, running, Place("a", at_input=False, grid=Grid(3, 5, prefix=1)))
    assert torch.equal(tokens[:, :1], running[:, :1])
    assert torch.equal(tokens[:, 1:].mT.unflatten(2, (3, 5)), values)


def test_before_the_normalisation_activation_times_gradient_is_zero() -> None:
    """Why a ViT is tapped behind the norm: a token that is only read normalised does not act by its length."""
    vit = rg.model("random:vit_tiny_patch16_224").double()
    x = rg.image("sample:coffee", like=vit).double()
    before, after = (rg.explain(vit, x, method="hirescam", target=3, site=s) for s in ("input of blocks.11", None))
    assert after.site == "blocks.11.norm1"
    assert abs(before.values).max() < 1e-4 * abs(after.values).max()


@pytest.mark.parametrize("name", ["swin_tiny_patch4_window7_224", "torchvision:vit_b_16"])
def test_attention_matrices_are_no_stages_and_other_norms_are_found(name: str) -> None:
    model = rg.model(f"random:{name}")
    found = [str(p) for p in auto_places(model, ALL, rg.image("sample:coffee", like=model))]
    assert found[-1] in ("norm", "encoder.layers.encoder_layer_11.ln_1")
    assert not any("attn_drop" in one for one in found)
