"""Small models of known make, with facts beside them, so that a look takes a fraction of a second."""

from __future__ import annotations

from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from regard.looking.attention import Attention
from regard.models.facts import Facts, remember
from regard.models.picture import Picture
from regard.testing.planted import PATCH, SIDE, PlantedCNN, PlantedViT, planted_pictures

NAMES = ("nothing, void", "redness, red", "something else")


def facts(name: str, **given: Any) -> Facts:
    """Facts that leave a picture's values as they are."""
    plain: dict[str, Any] = {"size": (SIDE, SIDE), "mean": (0.0,) * 3, "std": (1.0,) * 3, "patch": PATCH}
    return Facts(name=name, **(plain | given))


def planted(*, classes: tuple[str, ...] = NAMES) -> nn.Module:
    """Two blocks, two heads, CLS, an 8 x 8 grid; class 1 is redness."""
    return remember(PlantedViT(), facts("planted", classes=classes))


def cnn() -> nn.Module:
    return remember(PlantedCNN(), facts("planted-cnn", classes=NAMES))


def vit(*, seed: int = 0, known: bool = True, size: tuple[int, int] = (SIDE, SIDE), **options: Any) -> nn.Module:
    """A timm ViT with random weights; sharpened queries, so that attention is not uniform."""
    plain: dict[str, Any] = {
        "patch_size": PATCH, "embed_dim": 16, "depth": 3, "num_heads": 2, "num_classes": 0,
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = VisionTransformer(img_size=size, **(plain | options))
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "qkv.weight" in name or "pos_embed" in name:
                    weight.copy_(torch.randn_like(weight) * 0.5)
    model.eval()
    return remember(model, facts("tiny-vit", size=size)) if known else model


def without_prefix(**options: Any) -> nn.Module:
    return vit(class_token=False, global_pool="avg", **options)


def with_registers(**options: Any) -> nn.Module:
    return vit(reg_tokens=4, **options)


class Recurrent(nn.Module):
    """A ViT whose three layers are one and the same block."""

    def __init__(self) -> None:
        super().__init__()
        source = vit(depth=1)
        self.embed, self.block, self.cls = source.patch_embed, source.blocks[0], source.cls_token

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.embed(x)
        tokens = torch.cat([self.cls.expand(len(tokens), -1, -1), tokens], dim=1)
        for _ in range(3):
            tokens = self.block(tokens)
        return tokens.mean(1)


class ByHand(nn.Module):
    """Attention and, behind it, attention by hand whose leading axis is neither pictures nor heads."""

    def __init__(self) -> None:
        super().__init__()
        source = vit(depth=1)
        self.embed, self.blocks = source.patch_embed, source.blocks

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.blocks[0](self.embed(x))
        halves = tokens.unflatten(2, (4, -1)).permute(2, 0, 1, 3).flatten(0, 1)  # nobody says that these are heads
        return (F.softmax(halves @ halves.mT, dim=-1) @ halves).unflatten(0, (4, -1)).mean((0, 2))


def picture(spot: tuple[int, int] = (2, 5), *, name: str = "spot.png") -> Picture:
    """Grey with faint noise and one red patch, as a picture in 0..1."""
    x = planted_pictures([spot])[0].permute(1, 2, 0)
    return Picture((x / 4 + 0.25).clamp(0, 1).numpy(), name)


def explicit(seen: Attention, layer: int) -> Tensor:
    """The whole attention matrix `[H, N, N]` of a layer, out of the q and k that were kept."""
    reading = seen.record.readings[layer]
    q, k = reading["q"][0].double(), reading["k"][0].double()
    return torch.softmax(reading.scale * q @ k.transpose(-1, -2), dim=-1)
