"""ifam works: what its mask leaves out changes no bit, and a background that lies does not mislead it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.backbones import TwoStage
from regard.backbones._vit import ViT
from regard.testing.marks import works

from .toys import seeded

SIDE = 24
PLACE = torch.arange(8) - 3.5
SHAPES = torch.stack(
    [
        ((PLACE[:, None].abs() - PLACE.abs()).abs() < 1).float(),  # a cross
        (((PLACE[:, None] ** 2 + PLACE**2).sqrt() - 3).abs() < 0.8).float(),  # a ring
    ]
)
COLOURS = torch.tensor([[0.8, -0.8, 0.0], [-0.8, 0.8, 0.0]])


def scenes(count: int, draws: torch.Generator, agree: float) -> tuple[Tensor, Tensor, Tensor]:
    """A tile with a cross or a ring on a red or green ground, whose colour agrees with the shape so often."""
    shape = torch.randint(2, (count,), generator=draws)
    ground = torch.where(torch.rand(count, generator=draws) < agree, shape, 1 - shape)
    x = COLOURS[ground][:, :, None, None] + 0.3 * torch.randn(count, 3, SIDE, SIDE, generator=draws)
    for i, (top, left) in enumerate((4 * torch.randint(1, 4, (count, 2), generator=draws)).tolist()):
        tile = 0.6 * (2 * SHAPES[shape[i]] - 1) + 0.4 * torch.randn(3, 8, 8, generator=draws)
        x[i, :, top : top + 8, left : left + 8] = tile
    return x, shape, ground


class Plain(nn.Module):
    """The second stage alone: a ViT that sees all."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.head = ViT(SIDE, 4, 32, 2, 2), nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x)[:, 0])


def trained(model: Plain | TwoStage, x: Tensor, shape: Tensor, draws: torch.Generator) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    model.train()
    for step in range(200):
        optimizer.param_groups[0]["lr"] = 2e-3 * (1 - 0.9 * step / 200)
        some = torch.randint(len(x), (48,), generator=draws)
        if isinstance(model, TwoStage):
            loss = model.loss(x[some], shape[some])
        else:
            loss = F.cross_entropy(model(x[some]), shape[some])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()


def worst(model: nn.Module, x: Tensor, shape: Tensor, ground: Tensor) -> float:
    """Accuracy in the worst of the four groups of shape and ground."""
    with torch.no_grad():
        right = (model(x).argmax(1) == shape).float()
    return min(float(right[(shape == a) & (ground == b)].mean()) for a in (0, 1) for b in (0, 1))


@works("ifam")
def test_a_background_that_lies_does_not_mislead_it() -> None:
    """Shape and ground agree in 99.5 % of 1000 scenes; in half of 600 others they do not. Three seeds each.

    Accuracy in the worst group: 0, 0 and 0 for a ViT that sees all; .59, .95 and .40 for two stages. (Trained longer, a
    ViT that sees all finds the shape in some seeds. A ground that always agrees misleads both: stage 1 sees it.)
    """
    found: dict[str, list[float]] = {"plain": [], "two": []}
    for seed in range(3):
        draws = torch.Generator().manual_seed(seed)
        train, test = scenes(1000, draws, 0.995), scenes(600, draws, 0.5)
        for name in found:
            with seeded(seed):
                model = Plain() if name == "plain" else TwoStage(2, side=SIDE)
            trained(model, train[0], train[1], torch.Generator().manual_seed(100 + seed))
            found[name].append(worst(model, *test))
    pairs = list(zip(found["two"], found["plain"], strict=True))
    assert all(two > plain + 0.2 for two, plain in pairs), pairs
    assert sum(two - plain for two, plain in pairs) / 3 > 0.4, pairs


@works("ifam")
def test_what_is_masked_changes_no_bit_of_a_trained_model() -> None:
    """After a few steps of training, by its own masks: pixels that are not kept drawn anew, logits bit-identical."""
    draws = torch.Generator().manual_seed(0)
    x, shape, _ = scenes(64, draws, 0.9)
    with seeded(0):
        model = TwoStage(2, side=SIDE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    model.train()
    for _ in range(20):
        optimizer.zero_grad()
        model.loss(x, shape).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        parts = model.find(x)
        kept = F.interpolate(parts.mask[:, None].float(), scale_factor=4) > 0.5
        other = torch.where(kept, x, 10 * torch.randn(x.shape, generator=draws))
        assert 0 < float(kept.float().mean()) < 1
        assert torch.equal(model.see(other, parts), model.see(x, parts))
        assert not torch.equal(model.see(-x, parts), model.see(x, parts))
