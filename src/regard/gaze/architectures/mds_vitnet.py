"""MDS-ViTNet: a Swin encoder, two decoders that read it each in its own way, and a small network that merges both."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

MERGE = (2, 32, 64, 128, 128, 64, 32, 1)


class Context(nn.Module):
    """1 x 1 to `width`, then transformer layers over all cells, as TranSalNet does it."""

    def __init__(self, given: int, width: int, heads: int, depth: int, cells: tuple[int, int]) -> None:
        super().__init__()
        self.enter = nn.Conv2d(given, width, 1)
        self.place = nn.Parameter(0.02 * torch.randn(1, cells[0] * cells[1], width))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True)
            for _ in range(depth)
        )

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d h w"]:
        size = x.shape[-2:]
        tokens = self.enter(x).flatten(2).mT + self.place
        for layer in self.layers:
            tokens = layer(tokens)
        return tokens.mT.unflatten(2, size)


class SaliencyDecoder(nn.Module):
    """Three levels of context, from coarse to fine; each product with the next lets the finer choose. -> logits."""

    def __init__(self, channels: list[int], width: int, heads: int, depth: int, size: tuple[int, int]) -> None:
        super().__init__()
        wide = (width, width, 2 * width // 3)
        few = (heads, heads, 2 * heads // 3)
        levels = zip(channels[::-1], wide, few, (32, 16, 8), strict=True)
        self.context = nn.ModuleList(
            Context(c, w, n, depth, (size[0] // at, size[1] // at)) for c, w, n, at in levels
        )  # fmt: skip
        out = (wide[1], wide[2], width // 3, width // 6, width // 12)
        into = (width, *out)
        self.steps = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU()) for a, b in pairwise(into)
        )
        self.last = nn.Conv2d(out[-1], 1, 3, padding=1)

    def forward(self, levels: list[Tensor]) -> Float[Tensor, "b 1 h w"]:
        coarse, middle, fine = (one(x) for one, x in zip(self.context, levels[::-1], strict=True))
        x = F.interpolate(self.steps[0](coarse), scale_factor=2, mode="nearest")
        x = F.interpolate(self.steps[1]((x * middle).relu()), scale_factor=2, mode="nearest")
        x = F.interpolate(self.steps[2]((x * fine).relu()), scale_factor=2, mode="nearest")
        x = F.interpolate(self.steps[3](x), scale_factor=2, mode="nearest")
        return self.last(F.interpolate(self.steps[4](x), scale_factor=2, mode="nearest"))


class MDSViTNet(nn.Module):
    """Photos [B, 3, *size] -> logits [B, *size] (Polezhaev et al. 2024). Untrained.

    Swin-T gives levels 1/8, 1/16, 1/32; two decoders of TranSalNet's form (768 wide, 12 heads, 2 layers) give a map
    each; a CNN 2-32-64-128-128-64-32-1 merges them. `maps` are the two. Size at which it was trained: 288 x 384.
    Their sigmoids are left out: all are logits.

    >>> with torch.random.fork_rng():
    ...     model = MDSViTNet(size=(32, 64), width=12, heads=3, depth=1, embed=12).eval()
    >>> model(torch.rand(1, 3, 32, 64)).shape
    torch.Size([1, 32, 64])
    """

    def __init__(
        self,
        *,
        size: tuple[int, int] = (288, 384),
        width: int = 768,
        heads: int = 12,
        depth: int = 2,
        embed: int = 96,
    ) -> None:
        super().__init__()
        from torchvision.models.swin_transformer import SwinTransformer

        swin = SwinTransformer(
            [4, 4], embed, [2, 2, 6, 2], [3, 6, 12, 24], [7, 7], stochastic_depth_prob=0.0, num_classes=1
        )
        self.encoder = swin.features
        channels = [2 * embed, 4 * embed, 8 * embed]
        self.decoders = nn.ModuleList(SaliencyDecoder(channels, width, heads, depth, size) for _ in range(2))
        layers: list[nn.Module] = []
        for a, b in pairwise(MERGE):
            layers += [nn.Conv2d(a, b, 3, padding=1), nn.ReLU()]
        self.merge = nn.Sequential(*layers[:-1])

    def maps(self, x: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b 2 H W"]:
        """The logits of both decoders."""
        levels = []
        for number, stage in enumerate(self.encoder):
            x = stage(x)
            if number in (3, 5, 7):
                levels.append(x.permute(0, 3, 1, 2))
        return torch.cat([decoder(levels) for decoder in self.decoders], 1)

    def forward(self, x: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b H W"]:
        """The merged logits: their mean, and what the CNN adds to it."""
        both = self.maps(x)
        return both.mean(1) + self.merge(both)[:, 0]
