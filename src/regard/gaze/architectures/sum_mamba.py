"""SUM: one U-Net of selective scans for photos, web pages and drawings; a token tells which kind the picture is."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from regard.gaze.architectures._scan import FourScans

KINDS = ("natural scene", "natural scene, mouse", "e-commerce", "user interface")


class ScanBlock(nn.Module):
    """x + gate(scan(x)): normalise, widen by 2, depthwise 3 x 3, four scans, times SiLU of the other half.

    With `told` [B, 5] = (s1, t1, s2, t2, g): the input is shifted and scaled by (1 + s1, t1), the scans' output by
    (1 + s2, t2), and what is added by 1 + g; zeros change nothing.
    """

    def __init__(self, width: int, *, states: int = 16) -> None:
        super().__init__()
        inner = 2 * width
        self.norm, self.after = nn.LayerNorm(width), nn.LayerNorm(inner)
        self.enter, self.leave = nn.Linear(width, 2 * inner, bias=False), nn.Linear(inner, width, bias=False)
        self.near = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.scans = FourScans(inner, states=states, rank=-(-width // 16))

    def forward(self, x: Float[Tensor, "b h w c"], told: Float[Tensor, "b 5"] | None = None) -> Tensor:
        if told is None:
            told = x.new_zeros(len(x), 5)
        s1, t1, s2, t2, g = told[:, :, None, None, None].unbind(1)
        inner, gate = self.enter(self.norm(x) * (1 + s1) + t1).chunk(2, -1)
        inner = F.silu(self.near(inner.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
        inner = self.after(self.scans(inner)) * (1 + s2) + t2
        return x + (1 + g) * self.leave(inner * F.silu(gate))


class SUM(nn.Module):
    """Photos [B, 3, H, W] and the number of their kind [B] -> logits [B, H, W] (Hosseini et al. 2024). Untrained.

    Encoder: patches of 4, then (2, 2, 9, 2) blocks at 96, 192, 384, 768 channels, 16 states. Decoder: the same
    backwards, with the encoder's levels added; each of its blocks is told the kind by an MLP of a learned token
    [kinds, 128], which begins at zero effect. Loss: 10 KL - 2 CC - SIM - NSS + 5 MSE. H, W multiples of 32.

    >>> with torch.random.fork_rng():
    ...     model = SUM(width=4, depths=(1, 1), states=2).eval()
    >>> model(torch.rand(1, 3, 16, 24), torch.tensor([2])).shape
    torch.Size([1, 16, 24])
    """

    def __init__(
        self,
        *,
        width: int = 96,
        depths: tuple[int, ...] = (2, 2, 9, 2),
        states: int = 16,
        kinds: int = len(KINDS),
        token: int = 128,
    ) -> None:
        super().__init__()
        self.patches, self.norm = nn.Conv2d(3, width, 4, 4), nn.LayerNorm(width)
        widths = [width * 2**i for i in range(len(depths))]
        self.down, self.merge = nn.ModuleList(), nn.ModuleList()
        self.up, self.split = nn.ModuleList(), nn.ModuleList()
        for count, wide in zip(depths, widths, strict=True):
            self.down.append(nn.ModuleList(ScanBlock(wide, states=states) for _ in range(count)))
            self.up.append(nn.ModuleList(ScanBlock(wide, states=states) for _ in range(count)))
        for wide in widths[:-1]:
            self.merge.append(nn.Sequential(nn.LayerNorm(4 * wide), nn.Linear(4 * wide, 2 * wide, bias=False)))
            self.split.append(nn.Linear(2 * wide, 4 * wide, bias=False))
        self.tokens = nn.Parameter(0.5 * torch.randn(kinds, token))
        self.told = nn.ModuleList(
            nn.Sequential(nn.Linear(token, token), nn.GELU(), nn.Linear(token, 5)) for _ in range(sum(depths))
        )
        for one in self.told:
            nn.init.zeros_(one[-1].weight)  # type: ignore[index]
            nn.init.zeros_(one[-1].bias)  # type: ignore[index]
        self.last = nn.Linear(width, 16 * (width // 4))
        self.out = nn.Conv2d(width // 4, 1, 1)

    def forward(self, x: Float[Tensor, "b 3 H W"], kind: Int[Tensor, " b"] | None = None) -> Float[Tensor, "b H W"]:
        """Logits; kind: numbers of KINDS, None for no modulation at all."""
        token = None if kind is None else self.tokens[kind]
        x = self.norm(self.patches(x).permute(0, 2, 3, 1))
        levels: list[Tensor] = []
        for number, blocks in enumerate(self.down):
            if number:
                x = self.merge[number - 1](_gathered(x))
            for block in blocks:  # type: ignore[attr-defined]
                x = block(x)
            levels.append(x)
        told = iter(self.told)
        for number in reversed(range(len(self.up))):
            if number < len(levels) - 1:
                x = _spread(self.split[number](x), 2) + levels[number]
            for block in self.up[number]:  # type: ignore[attr-defined]
                mlp = next(told)
                x = block(x, None if token is None else mlp(token))
        return self.out(_spread(self.last(x), 4).permute(0, 3, 1, 2))[:, 0]


def _gathered(x: Float[Tensor, "b h w c"]) -> Tensor:
    """Squares of 2 x 2 cells, side by side in the channels."""
    return torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)


def _spread(x: Float[Tensor, "b h w c"], by: int) -> Tensor:
    """Channels laid out as squares of `by` x `by` cells."""
    return F.pixel_shuffle(x.permute(0, 3, 1, 2), by).permute(0, 2, 3, 1)
