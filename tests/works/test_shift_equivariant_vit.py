"""shift-equivariant-vit works: logits that no circular shift changes, and an anchor that commutes with shifts."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg
from regard.testing.marks import works

from .arithmetic import drawn, gap
from .toys import seeded

anchor = rg.operators.anchor
SIDE, PATCH, WINDOW, WIDTH = 32, 4, 2, 16


class Windowed(nn.Module):
    """Patches, a depthwise convolution for their positions, attention in windows, subsampling, attention, logits.

    Anchors stand before all that samples with a stride: the patches, the windows, the pooling.
    """

    def __init__(self, anchored: bool, seed: int) -> None:
        super().__init__()
        self.anchored = anchored
        with seeded(seed):
            self.embed = nn.Conv2d(3, WIDTH, PATCH, PATCH)
            self.place = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH, padding_mode="circular")
            self.qkv = nn.ModuleList(nn.Linear(WIDTH, 3 * WIDTH) for _ in range(2))
            self.down, self.head = nn.Conv2d(WIDTH, WIDTH, 2, 2), nn.Linear(WIDTH, 50)

    def at(self, x: Tensor, stride: int) -> Tensor:
        return anchor(x, stride=stride) if self.anchored else x

    def attend(self, tokens: Tensor, layer: int) -> Tensor:
        q, k, v = (x.unsqueeze(-3) for x in self.qkv[layer](tokens).chunk(3, -1))
        return tokens + F.scaled_dot_product_attention(q, k, v)[..., 0, :, :]

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(self.at(x, PATCH))
        x = self.at(x + self.place(x), WINDOW)
        side = x.shape[-1]
        cut = x.unflatten(3, (-1, WINDOW)).unflatten(2, (-1, WINDOW)).permute(0, 2, 4, 3, 5, 1)
        windows = self.attend(cut.flatten(3, 4).flatten(1, 2), 0)
        x = windows.view(cut.shape).permute(0, 5, 1, 3, 2, 4).reshape(len(x), WIDTH, side, side)
        x = self.down(self.at(x, 2)).flatten(2).mT
        return self.head(self.attend(x, 1).mean(1))


@works("shift-equivariant-vit")
def test_the_anchor_commutes_with_shifts_exactly() -> None:
    """All 64 shifts of an 8 x 8 picture: the anchored pictures differ by a roll of whole strides, bit for bit."""
    x = drawn(1, 3, 8, 8)
    for dy in range(8):
        for dx in range(8):
            moved = anchor(x.roll((dy, dx), (2, 3)))
            rolls = [anchor(x).roll((a, b), (2, 3)) for a in (0, 4) for b in (0, 4)]
            assert sum(torch.equal(moved, roll) for roll in rolls) == 1


@works("shift-equivariant-vit")
def test_logits_are_the_same_for_every_circular_shift() -> None:
    """All 1,024 shifts of two random pictures, random weights, three seeds: logits to 1e-10 and every prediction with
    anchors; without them predictions of 50 classes change (planted fault)."""
    pictures = [drawn(1, 3, SIDE, SIDE, seed=s) for s in (1, 2)]
    shifts = [(dy, dx) for dy in range(SIDE) for dx in range(SIDE)]
    for seed in range(3):
        consistent = []
        for anchored in (True, False):
            model = Windowed(anchored, seed).double()
            with torch.no_grad():
                for x in pictures:
                    rolled = torch.cat([x.roll(shift, (2, 3)) for shift in shifts])
                    logits = model(rolled)
                    same = logits.argmax(-1) == model(x).argmax(-1)
                    consistent.append(float(same.double().mean()))
                    assert (gap(logits, model(x).expand_as(logits)) < 1e-10) is anchored
        assert consistent[:2] == [1.0, 1.0]
        assert min(consistent[2:]) < 1.0
