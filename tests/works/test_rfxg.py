"""rfxg works: on a synthetic hierarchy each question ranks the map that answers it first, and a random one last."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard as rg
from regard.testing.marks import works

GRID = rg.Grid(6, 6)
PARTS = {"class": range(4), "sibling": range(4, 8), "group": range(8, 16), "other": range(16, 24)}


class Hierarchy(nn.Module):
    """Classes 0, 1 of one group and 2, 3 of another; cells tell a class, its sibling, the group, the other group."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cells = F.adaptive_avg_pool2d(x[:, :1], (GRID.h, GRID.w)).flatten(1)
        own, sibling, group, other = (cells[:, list(part)].sum(1) for part in PARTS.values())
        return torch.stack([own + group, sibling + group, other, other], 1) / 3


def at(*weights: tuple[str, float]) -> torch.Tensor:
    values = torch.zeros(GRID.patches, dtype=torch.float64)
    for part, weight in weights:
        values[list(PARTS[part])] = weight
    return values


# What each question asks for, by construction; ties are broken by noise far below the weights.
TRUTH = {
    "ccs": at(("class", 2.0), ("group", 1.0), ("sibling", -1.0), ("other", -2.0)),  # 0 against 2
    "cgc": at(("class", 1.0), ("sibling", -1.0)),  # 0 against its sibling: the group does not tell them apart
    "pgs": at(("group", 2.0), ("class", 1.0), ("sibling", 1.0), ("other", -1.0)),  # both of the group
}


@works("rfxg")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_question_ranks_its_own_map_first(seed: int) -> None:
    """Of the maps of the class contrast, of the sibling contrast and of the group: each comes first on its own question
    and a random one last; cgs, group against group, ranks the group's contrast first."""
    g = torch.Generator().manual_seed(seed)
    x = 0.9 + 0.2 * torch.rand(1, 3, 24, 24, generator=g, dtype=torch.float64)
    x = x * torch.ones(1).double()
    model = Hierarchy()
    noise = torch.randn(20, GRID.patches, generator=g, dtype=torch.float64)
    contrast = at(("group", 2.0), ("class", 1.0), ("sibling", 1.0), ("other", -2.0))
    maps = {**TRUTH, "cgs": contrast}
    options = {"ccs": {"against": (2,)}, "cgc": {"group": (0, 1)}, "pgs": {"group": (0, 1)},
               "cgs": {"group": (0, 1), "against": (2, 3)}}  # fmt: skip

    def score(values: torch.Tensor, question: str) -> float:
        metric = partial(rg.metrics.rfxg, question=question, baseline="mean", random=0, **options[question])
        heat = rg.Map(values.view(1, 6, 6).numpy(), GRID, "given")
        return rg.score(heat, model, black(x), metric=metric, target=0, orders=0).value

    for question in TRUTH:
        found = {name: score(values, question) for name, values in maps.items()}
        chance = sum(score(one, question) for one in noise) / len(noise)
        best = max(found.values())
        assert found[question] == pytest.approx(best, abs=1e-3), (question, found)
        assert chance < min(found.values()), (question, found, chance)
    found = {name: score(values, "cgs") for name, values in maps.items()}
    assert found["cgs"] == pytest.approx(max(found.values()), abs=1e-3)


def black(x: torch.Tensor) -> torch.Tensor:
    """Cells without a part are dark, so that the mean colour is no evidence."""
    told = torch.zeros(GRID.patches, dtype=torch.float64)
    for part in PARTS.values():
        told[list(part)] = 1
    return x * told.view(1, 1, 6, 6).repeat_interleave(4, 2).repeat_interleave(4, 3)
