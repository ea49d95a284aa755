"""meaningful-perturbation works: the learnt mask lies on planted evidence and takes more score than others as large."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

import regard as rg
from regard.testing.marks import works
from regard.testing.planted import PlantedCNN, PlantedViT, planted_pictures

SIDE = 32


@works("meaningful-perturbation")
@pytest.mark.parametrize("kind", [PlantedCNN, PlantedViT])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_mask_lies_on_the_planted_patch(kind: type[nn.Module], seed: int) -> None:
    """IoU with the 12 x 12 pixels of evidence; drop against 100 squares of the same area; the loss falls."""
    model, spot = kind(), [(2, 5), (5, 1), (4, 4)][seed]
    x = planted_pictures([spot], seed=seed, reach=1)
    method = partial(rg.explainers.meaningful_perturbation, side=16, steps=150, baseline="mean")
    made = torch.from_numpy(rg.explain(model, x, method=method, target=1, seed=seed).values)[0]
    truth = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    truth[tuple(slice(4 * max(0, s - 1), 4 * (s + 2)) for s in spot)] = True
    found = made > 0.5
    assert float((found & truth).sum() / (found | truth).sum()) > 0.6

    start = x.mean((2, 3), keepdim=True).expand_as(x)
    base = model(start)[0, 1].detach()

    def left(removed: torch.Tensor) -> float:
        """The share of the score that stays."""
        with torch.no_grad():
            y = model(start + (1 - removed) * (x - start))[0, 1]
            whole = model(x)[0, 1]
        return float((y - base) / (whole - base))

    draws = torch.Generator().manual_seed(seed)
    edge = round(float(made.sum()) ** 0.5)
    others = []
    for _ in range(100):
        top, side = torch.randint(SIDE - edge + 1, (2,), generator=draws).tolist()
        square = torch.zeros(SIDE, SIDE)
        square[top : top + edge, side : side + edge] = 1
        others.append(left(square))
    assert left(made) < sorted(others)[4]  # in the best twentieth, which lies on the evidence itself
    assert left(made) + float(made.mean()) < 0.7  # the loss without its roughness; it was 1 at the start
