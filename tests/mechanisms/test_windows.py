"""Windows go back to the picture as the models' own code puts them there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.errors import CallError
from regard.layout import Grid, Windows
from regard.mechanisms.windows import pair, windows


def partition(x: Tensor, size: tuple[int, int], shift: tuple[int, int]) -> Tensor:
    """As Swin does it: [B, h, w] rolled, padded, cut."""
    x = torch.roll(x, (-shift[0], -shift[1]), (1, 2))
    x = nn.functional.pad(x, (0, -x.shape[2] % size[1], 0, -x.shape[1] % size[0]))
    b, h, w = x.shape
    x = x.view(b, h // size[0], size[0], w // size[1], size[1])
    return x.permute(0, 1, 3, 2, 4).reshape(-1, size[0] * size[1])


@pytest.mark.parametrize("shift", [(0, 0), (3, 3), (2, 0)])
@pytest.mark.parametrize("sides", [(14, 14), (14, 21), (12, 10), (7, 20)])
def test_round_trip(sides: tuple[int, int], shift: tuple[int, int]) -> None:
    x = torch.randn(2, *sides, generator=torch.Generator().manual_seed(0))
    cut = partition(x, (7, 7), shift)
    found = Windows(Grid(*sides), (7, 7), shift)
    assert found.count == len(cut) // 2
    assert torch.equal(found.to_map(cut), x)
    assert torch.equal(found.to_map(torch.stack([cut, 2 * cut], 1)), torch.stack([x, 2 * x], 1))


NAMES = ("timm:swin", "timm:swinv2", "torchvision:swin_t", "torchvision:swin_v2_t", "hf:swin")


def build(name: str) -> tuple[nn.Module, dict[str, tuple[int, ...]]]:
    """A model, and by site what its own modules say: shift, size."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if name == "timm:swin":
            return rg.model("random:swin_tiny_patch4_window7_224"), {}
        if name == "timm:swinv2":
            return rg.model("random:swinv2_cr_tiny_ns_224"), {}
        if name.startswith("torchvision:"):
            import torchvision

            return getattr(torchvision.models, name.partition(":")[2])(weights=None).eval(), {}
        from transformers import SwinConfig, SwinModel

        config = SwinConfig(image_size=224, embed_dim=24, depths=[2, 2], num_heads=[2, 4], window_size=7)
        return SwinModel(config, add_pooling_layer=False).eval(), {}


@pytest.mark.parametrize("name", NAMES)
def test_queries_of_real_models_are_where_their_input_was(name: str) -> None:
    """One patch of a grey picture is made bright: of all queries of the first two layers, those at it change most."""
    model, _ = build(name)
    x = torch.zeros(2, 3, 224, 224)
    x[0, :, 4 * 30 : 4 * 31, 4 * 45 : 4 * 46] = 5.0
    x[1, :, 4 * 3 : 4 * 4, 4 * 52 : 4 * 53] = 5.0
    with torch.no_grad(), rg.watch(model, keep="q") as record:
        model(x)
    first, second = record.readings[:2]
    assert first.windows is not None
    assert second.windows is not None
    assert first.windows.grid == second.windows.grid
    assert first.windows.shift == (0, 0)
    assert any(second.windows.shift)
    assert first.windows.grid == Grid(56, 56)
    for reading in (first, second):
        assert reading.windows is not None
        q = reading.windows.to_map(reading["q"].mT).flatten(1, 2)
        off = (q - q.flatten(2).median(2).values[:, :, None, None]).norm(dim=1)
        found = [divmod(int(picture.argmax()), 56) for picture in off]
        assert found == [(30, 45), (3, 52)], reading


def test_probes_see_the_grid_of_a_window() -> None:
    model, _ = build("timm:swin")
    with torch.no_grad(), rg.watch(model, "layers.0.blocks.1.attn", keep=["distance", "entropy"]) as record:
        model(torch.zeros(1, 3, 224, 224))
    (reading,) = record
    assert reading.grid is None
    assert reading["distance"].shape == (64, 3, 49)
    assert reading.on_map("entropy").shape == (1, 3, 56, 56)
    assert float(reading["distance"].max()) <= (2 * 6**2) ** 0.5
    lost = replace(reading, site="a", queries=5, windows=None)
    with pytest.raises(CallError, match="it is not known how the 5 tokens of a lie"):
        lost.on_map("entropy")


def module(**facts: Any) -> nn.Module:
    one = nn.Identity()
    for name, value in facts.items():
        setattr(one, name, value)
    return one


@pytest.mark.parametrize(
    ("around", "batch", "found"),
    [
        ([module(window_size=7, shift_size=3)], 128, Windows(Grid(56, 56), (7, 7), (3, 3))),
        ([module(window_size=(7, 7)), module(shift_size=(3, 3))], 32, Windows(Grid(28, 28), (7, 7), (3, 3))),
        ([module(window_size=[7, 7])], 8, Windows(Grid(14, 14), (7, 7), (0, 0))),
        ([module(window_size=7)], 2, None),  # one window a picture: the whole map
        ([module(window_size=7)], 6, None),  # no map has three windows
        ([module(window_size=8)], 128, None),  # not 49 tokens
        ([module()], 128, None),
        ([module(window_size=None)], 128, None),
    ],
)
def test_what_modules_and_shapes_say_must_agree(around: list[Any], batch: int, found: Windows | None) -> None:
    assert windows(around, batch, 49, 49, 2, (56, 56)) == found
    assert windows(around, batch, 49, 7, 2, (56, 56)) is None
    assert pair("7") is None
