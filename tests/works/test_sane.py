"""sane works: its map takes the similarity away faster than chance, and is explained by the attribute behind it."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg
from regard.subjects.attributes import rank_attributes
from regard.testing.marks import works

SIDE, CELLS = 32, 8
NAMES = ("red", "green", "blue", "yellow")
COLOURS = torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, -1]])
CORNERS = ((4, 4), (4, 20), (20, 4), (20, 20))


def activations(x: Tensor) -> Tensor:
    """How much of each colour each pixel shows, `[B, attributes, H, W]`."""
    return (torch.einsum("bchw,ac->bahw", x, COLOURS) / 3 - 0.5).relu()


class Likeness(nn.Module):
    """An embedding of where one colour lies, with a little of the plain picture."""

    def __init__(self, attribute: int) -> None:
        super().__init__()
        self.attribute = attribute

    def forward(self, x: Tensor) -> Tensor:
        shown = activations(x)[:, self.attribute : self.attribute + 1]
        where = F.adaptive_avg_pool2d(shown, 4).flatten(1)
        plain = F.adaptive_avg_pool2d(x, 2).flatten(1)
        return torch.cat([10 * where, 0.3 * plain, torch.full_like(plain[:, :1], 0.2)], 1)


def picture(seed: int) -> tuple[Tensor, list[int]]:
    """Faint noise with a square of each colour, each in a corner; and who lies where."""
    generator = torch.Generator().manual_seed(seed)
    x = 0.1 * torch.randn(1, 3, SIDE, SIDE, generator=generator)
    places = torch.randperm(4, generator=generator).tolist()
    for colour, at in zip(COLOURS, places, strict=True):
        top, left = CORNERS[at]
        x[0, :, top : top + 8, left : left + 8] = colour[:, None, None]
    return x, places


@works("sane")
@pytest.mark.parametrize("attribute", range(4))
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_planted_attribute_makes_them_alike(attribute: int, seed: int) -> None:
    """Mean similarity while cells go, best first, under that of 100 random orders; the attribute."""
    model = Likeness(attribute)
    x, _ = picture(seed)
    reference = x + 0.05 * torch.randn(x.shape, generator=torch.Generator().manual_seed(90 + seed))
    wanted = model(reference)[0]
    heat = rg.explain(model, x, method=partial(rg.explainers.sane, forwards=800), target=wanted, seed=seed)

    def curve(order: Tensor) -> float:
        rank = torch.empty(CELLS**2, dtype=torch.long)
        rank[order] = torch.arange(CELLS**2)
        gone = rank.view(CELLS, CELLS).repeat_interleave(SIDE // CELLS, 0).repeat_interleave(SIDE // CELLS, 1)
        steps = torch.stack([x[0] * (gone >= n) for n in range(0, CELLS**2 + 1, 4)])
        return float(F.cosine_similarity(model(steps), wanted[None]).mean())

    cells = F.adaptive_avg_pool2d(torch.from_numpy(heat.values)[:, None], CELLS).flatten()
    generator = torch.Generator().manual_seed(seed)
    random = [curve(torch.randperm(CELLS**2, generator=generator)) for _ in range(100)]
    assert curve(cells.argsort(descending=True)) < min(random)

    shown = activations(x)[0]
    ranked = rank_attributes(heat, shown, shown.amax((1, 2)).clamp(0, 1), NAMES)
    assert ranked.column("attribute")[0] == NAMES[attribute]
