"""visual-summaries works: the parts of a synthetic class come back as clusters of what learnt masks point to."""

from __future__ import annotations

from functools import partial
from math import comb

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg
from regard.subjects.visual_summaries import visual_summaries
from regard.testing.marks import works

SIDE, PATCH, EDGE = 32, 4, 8
COLOURS = torch.tensor(
    [[2.0, -1, -1], [-1, 2, -1], [-1, -1, 2]]
)  # of red bars, green chequers, and what is no evidence


class TwoParts(nn.Module):
    """Evidence for the class: how much there is of red and of green."""

    def forward(self, x: Tensor) -> Tensor:
        found = torch.einsum("bchw,kc->bkhw", x, COLOURS[:2]) / 6
        y = (F.avg_pool2d(found, 4) - 0.1).relu().mean((2, 3)).sum(1)
        return torch.stack([-y, y], 1)


def pictures(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noise with one part of each kind (or, now and then, one alone) and a blue square; which part lies where."""
    generator = torch.Generator().manual_seed(seed)
    x = 0.15 * torch.randn(n, 3, SIDE, SIDE, generator=generator)
    where = torch.full((n, SIDE, SIDE), -1)
    bars, chequers = torch.arange(EDGE) // 2 % 2, (torch.arange(EDGE)[:, None] // 2 + torch.arange(EDGE) // 2) % 2
    textures = torch.stack([bars.expand(EDGE, EDGE), chequers, torch.ones(EDGE, EDGE, dtype=torch.long)]).float()
    for i in range(n):
        corners = torch.randperm(4, generator=generator).tolist()
        alone = int(torch.randint(6, (), generator=generator))
        for part, corner in enumerate(corners[:3]):
            if part < 2 and alone == part:
                continue
            top, left = (16 * v + int(torch.randint(0, 8, (), generator=generator)) for v in divmod(corner, 2))
            drawn = COLOURS[part][:, None, None] * (0.6 + 0.4 * textures[part])
            x[i, :, top : top + EDGE, left : left + EDGE] += drawn
            where[i, top : top + EDGE, left : left + EDGE] = part
    return x, where


def adjusted_rand(a: list[int], b: list[int]) -> float:
    """Agreement of two groupings: 0 by chance, 1 for the same."""
    pairs = sum(comb(sum(x == i and y == j for x, y in zip(a, b, strict=True)), 2) for i in set(a) for j in set(b))
    first, second = (sum(comb(g.count(i), 2) for i in set(g)) for g in (a, b))
    expected = first * second / comb(len(a), 2)
    return (pairs - expected) / ((first + second) / 2 - expected)


@works("visual-summaries")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_two_planted_parts_come_back_as_two_summaries(seed: int) -> None:
    """Masks learnt picture by picture, colours of their patches, clusters without a number: adjusted Rand over 0.9."""
    model = TwoParts()
    x, where = pictures(14, seed)
    method = partial(rg.explainers.meaningful_perturbation, side=16, steps=80, baseline="mean", area=0.5)
    heat = torch.from_numpy(rg.explain(model, x, method=method, target=1, seed=seed).values)
    cells = F.avg_pool2d(heat[:, None], PATCH)[:, 0]
    features = F.pixel_unshuffle(x, PATCH)
    made = visual_summaries(cells, features, level=0.6)
    truth = []
    for mask, i in zip(made.masks, made.pictures.tolist(), strict=True):
        inside = where[i][mask.repeat_interleave(PATCH, 0).repeat_interleave(PATCH, 1).bool()]
        truth.append(int(inside[inside >= 0].mode().values) if bool((inside >= 0).any()) else -1)
    score = adjusted_rand(truth, made.cluster.tolist())
    assert set(truth) == {0, 1}  # the blue squares, which are no evidence, are not pointed to
    assert len(truth) >= 20
    assert score > 0.9
    assert made.count == 2
