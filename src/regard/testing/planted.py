"""Planted models: networks whose evidence is known by construction, so that a method must find it.

Pictures are grey noise with one bright red patch; the networks answer to redness and nothing else.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from regard.subjects.prompted import Prompted
from regard.subjects.scan import SelectiveScan

SIDE, PATCH = 32, 4
CELLS = SIDE // PATCH


def planted_pictures(
    spots: list[tuple[int, int]], *, seed: int = 0, reach: int = 0, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "b 3 H W"]:
    """Pictures of faint noise, each red at one patch (row, column) and `reach` patches around it.

    Drawn in float64 and then cast, so that every type gets the same pictures.
    """
    generator = torch.Generator().manual_seed(seed)
    x = 0.05 * torch.randn(len(spots), 3, SIDE, SIDE, generator=generator, dtype=torch.float64)
    for i, spot in enumerate(spots):
        rows, columns = (slice(max(0, s - reach) * PATCH, (s + reach + 1) * PATCH) for s in spot)
        x[i, 0, rows, columns] += 2.0
    return x.to(dtype)


def _quiet(module: nn.Conv2d | nn.Linear, scale: float) -> None:
    """Scale random weights down to a murmur, without a bias."""
    module.weight.mul_(scale)
    assert module.bias is not None
    module.bias.zero_()


class PlantedAttention(nn.Module):
    """Self-attention whose queries all look for red: logits_ij = sharpness * redness_j."""

    def __init__(self, width: int, heads: int, sharpness: float) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        head = width // heads
        with torch.no_grad():
            for part in self.qkv.weight.chunk(3):
                part.mul_(0.02)
            q_bias, k_weight, v_weight = self.qkv.bias[:width], *self.qkv.weight.chunk(3)[1:]
            self.qkv.bias.zero_()
            for h in range(heads):
                q_bias[h * head] = sharpness * head**0.5
                k_weight[h * head, 0] = 1.0
                v_weight[h * head, 0] = 1.0

    def forward(self, x: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
        b, n, c = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c)


class PlantedBlock(nn.Module):
    """Attention with a residual; no normalisation, so that redness keeps its scale."""

    def __init__(self, width: int, heads: int, sharpness: float) -> None:
        super().__init__()
        self.attn = PlantedAttention(width, heads, sharpness)

    def forward(self, x: Float[Tensor, "b n c"]) -> Float[Tensor, "b n c"]:
        return x + self.attn(x)


class PlantedViT(nn.Module):
    """A two-block ViT that attends to red patches; class 1 is the redness its CLS token has gathered."""

    def __init__(self, *, width: int = 16, heads: int = 2, sharpness: float = 3.0, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.embed = nn.Conv2d(3, width, PATCH, PATCH)
            self.cls = nn.Parameter(torch.zeros(1, 1, width))
            self.blocks = nn.ModuleList(PlantedBlock(width, heads, sharpness) for _ in range(2))
            self.head = nn.Linear(width, 3)
        with torch.no_grad():
            _quiet(self.embed, 0.02)
            self.embed.weight[0] = torch.tensor([1.0, -0.5, -0.5]).view(3, 1, 1) / PATCH**2
            _quiet(self.head, 0.02)
            self.head.weight[1, 0] = 4.0
        self.eval()

    def forward(self, x: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b 3"]:
        patches = self.embed(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls.expand(len(x), -1, -1), patches], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(tokens[:, 0])


def planted_prompts() -> Prompted:
    """The planted ViT under three prompts: as all its queries they look for red, and hand on what they gathered."""
    made = Prompted(PlantedViT(), 3, at="blocks.1", norm="")
    with torch.no_grad():
        made.prompts.zero_()
        made.head.mul_(0.02)
        made.head[0] = 4.0
    return made


class PlantedCNN(nn.Module):
    """Two convolutions, average pooling, a linear head: class 1 is redness. Ends as CAM's proof needs it."""

    def __init__(self, *, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.stem = nn.Conv2d(3, 8, PATCH, PATCH)
            self.features = nn.Conv2d(8, 8, 3, padding=1)
            self.head = nn.Linear(8, 3)
        with torch.no_grad():
            for module in (self.stem, self.features, self.head):
                _quiet(module, 0.05)
            self.stem.weight[0] = torch.tensor([1.0, -0.5, -0.5]).view(3, 1, 1) / PATCH**2
            self.features.weight[0, 0, 1, 1] = 1.0
            self.head.weight[1, 0] = 30.0
        self.eval()

    def forward(self, x: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b 3"]:
        x = F.relu(self.features(F.relu(self.stem(x))))
        return self.head(x.mean((2, 3)))


class PlantedMamba(nn.Module):
    """Two selective scans whose step grows with redness, so that the last token takes red patches in; class 1 is red.

    Channel 0 of a token is redness, channel 1 is constant; states do not decay.
    """

    def __init__(self, *, width: int = 8, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.embed = nn.Conv2d(3, width, PATCH, PATCH)
            self.scans = nn.ModuleList(SelectiveScan(width, states=2, rank=1) for _ in range(2))
            self.head = nn.Linear(width, 3)
        with torch.no_grad():
            _quiet(self.embed, 0.02)
            self.embed.weight[0] = torch.tensor([1.0, -0.5, -0.5]).view(3, 1, 1) / PATCH**2
            assert self.embed.bias is not None
            self.embed.bias[1] = 1.0
            for scan in self.scans:
                assert isinstance(scan, SelectiveScan)
                scan.select.weight.mul_(0.02)
                scan.select.weight[0, 0], scan.select.weight[1:, 1] = 3.0, 1.0
                scan.step.weight.fill_(1.0)
                scan.step.bias.fill_(-3.0)
                scan.log_a.fill_(-9.0)
            _quiet(self.head, 0.02)
            self.head.weight[1, 0] = 1.0
        self.eval()

    def forward(self, x: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b 3"]:
        tokens = self.embed(x).flatten(2).transpose(1, 2)
        for scan in self.scans:
            tokens = tokens + 0.1 * scan(tokens)
        return self.head(tokens[:, -1])
