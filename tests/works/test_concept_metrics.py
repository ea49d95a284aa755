"""concept-metrics works: a network whose concepts are planted: existence and location near 1 for the true ones."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from regard.concepts import activation_maps, existence, global_importance, location
from regard.concepts.existence import leading
from regard.testing.marks import works

SIDE, CELL, CONCEPTS, CLASSES = 32, 8, 6, 3


def scenes(
    n: int, g: torch.Generator, together: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pictures with one or two of six 8 x 8 patterns in different cells; class c owns patterns 2c and 2c + 1, one of
    which is always there, and the other in a share `together` of the pictures. Gives pictures, classes, which patterns
    are there, and the centre of each."""
    patterns = torch.randn(CONCEPTS, 1, CELL, CELL, generator=torch.Generator().manual_seed(7))
    x = 0.3 * torch.randn(n, 1, SIDE, SIDE, generator=g)
    classes = torch.randint(CLASSES, (n,), generator=g)
    present, centres = torch.zeros(n, CONCEPTS, dtype=torch.bool), torch.zeros(n, CONCEPTS, 2, dtype=torch.long)
    for i in range(n):
        places = torch.randperm(16, generator=g)[:2]
        one = 2 * int(classes[i]) + int(torch.randint(2, (), generator=g))
        both = bool(torch.rand((), generator=g) < together)
        for j, at in zip((one, one ^ 1)[: 1 + both], places, strict=False):
            top, left = int(at) // 4 * CELL, int(at) % 4 * CELL
            x[i, :, top : top + CELL, left : left + CELL] += patterns[j]
            present[i, j], centres[i, j] = True, torch.tensor([left + CELL // 2, top + CELL // 2])
    return x, classes, present, centres


def features(x: torch.Tensor, g: torch.Generator) -> torch.Tensor:
    """The planted network: matched filters, turned by a rotation so that no feature is a concept by itself."""
    patterns = torch.randn(CONCEPTS, 1, CELL, CELL, generator=torch.Generator().manual_seed(7))
    found = F.relu(F.conv2d(x, patterns / patterns.flatten(1).norm(dim=1)[:, None, None, None], stride=CELL) - 2)
    turn = torch.linalg.qr(torch.randn(CONCEPTS, CONCEPTS, generator=g))[0]
    return torch.einsum("ck,nkhw->nchw", turn, found)


def vectors(pooled: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """Concept vectors by least squares to who has the concept."""
    return torch.linalg.lstsq(pooled, present.to(pooled)).solution.T


@works("concept-metrics")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_concepts_exist_and_lie_where_they_are(seed: int) -> None:
    """True concepts: importance, existence and location above 0.9. Existence of concepts that are absent (labels
    permuted), and location of one that only goes along (its class-mate): at chance or below. Vectors learnt where two
    concepts always come together cannot tell them apart, and the location metric says so. The activation map is the dot
    product at each position."""
    g = torch.Generator().manual_seed(seed)
    turned = torch.Generator().manual_seed(99)
    x, classes, present, centres = scenes(300, g, together=0.5)
    found = features(x, turned)
    pooled = found.mean((2, 3))
    c = vectors(pooled, present)
    said, maps = pooled @ c.T, activation_maps(found, c)
    torch.testing.assert_close(maps[3, 2, 1, 0], (found[3, :, 1, 0] * c[2]).mean())
    truth = torch.stack([present[classes == k].float().mean(0) for k in range(CLASSES)], 1)
    weights = torch.linalg.lstsq(said, F.one_hot(classes, CLASSES).float()).solution
    moved = torch.arange(CONCEPTS).roll(2)
    assert global_importance(weights, truth).min() > 0.9
    assert global_importance(weights[moved], truth).mean() < 0.3
    chance = present.double().mean()
    assert existence(weights, said, classes, present).mean() > 0.9
    assert existence(weights, said, classes, present[:, moved]).mean() < chance + 0.1

    first = leading(weights, said, classes, 1)[:, 0]
    rows = torch.arange(300)

    def lies(which: torch.Tensor, on: torch.Tensor, among: torch.Tensor) -> float:
        inside = location(on[rows, which], centres[rows, first], (SIDE, SIDE))
        return float(inside[among].double().mean())

    both = present[rows, first ^ 1]
    assert lies(first, maps, rows) > 0.9
    assert lies(first ^ 1, maps, both) < 0.2  # its mate, in the same picture, lies elsewhere
    always, _, there, _ = scenes(300, g, together=1.0)
    blurred = vectors(features(always, torch.Generator().manual_seed(99)).mean((2, 3)), there)
    assert lies(first ^ 1, activation_maps(found, blurred), both) > 0.5
