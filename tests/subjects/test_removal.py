"""Scores without cells: by pixels against composing by hand, by tokens against masked keys; memory that refuses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.api import _subject
from regard.errors import CallError, LayoutError
from regard.subjects.baseline import baseline_picture
from regard.subjects.cells import grid_cells, segment_cells
from regard.subjects.designs import bernoulli
from regard.subjects.removal import Removal
from regard.subjects.scorer import Scorer


class Mean(nn.Module):
    """Two scores of a picture; holds at most `holds` pictures at a time."""

    def __init__(self, holds: int = 1000) -> None:
        super().__init__()
        self.holds, self.sizes = holds, list[int]()

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.00 GiB")
        self.sizes.append(len(x))
        ramp = torch.linspace(-1, 2, x[0].numel(), dtype=x.dtype).view(x.shape[1:])
        return torch.stack([(x * ramp).sum((1, 2, 3)), x.square().sum((1, 2, 3))], 1)


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


X = torch.randn(2, 3, 6, 8, generator=gen(3), dtype=torch.float64)


def scorer(model: nn.Module, x: Tensor, target: Any = 1) -> Scorer:
    return Scorer(_subject(model, x), target)


@pytest.mark.parametrize("baseline", ["black", "mean", "blur", "white", "uniform"])
def test_pixels_against_composing_by_hand(baseline: Any) -> None:
    model, cells = Mean(), grid_cells(X, 2)
    removal = Removal(scorer(model, X), cells, baseline, gen(1))
    keep = bernoulli(11, cells.count, gen())
    found = removal(keep)
    other = baseline_picture(X, baseline, generator=gen(1))
    for row, mask in zip(found, keep, strict=True):
        stays = mask[cells.labels[0]]
        torch.testing.assert_close(row, model(torch.where(stays, X, other))[:, 1])
    torch.testing.assert_close(removal.whole, model(X)[:, 1])


def test_each_picture_may_have_masks_of_its_own() -> None:
    model, cells = Mean(), segment_cells(X, 4)
    removal = Removal(scorer(model, X), cells, "black")
    keep = torch.stack([bernoulli(5, cells.count, gen(s)) for s in (0, 1)], 1)
    for found, masks in zip(removal(keep), keep, strict=True):
        stays = torch.stack([mask[labels] for mask, labels in zip(masks, cells.labels, strict=True)])
        torch.testing.assert_close(found, model(X * stays[:, None])[:, 1])


def test_batches_are_halved_until_memory_holds_them() -> None:
    small, cells = Mean(holds=3), grid_cells(X[:1], 2)
    keep = bernoulli(10, cells.count, gen())
    found = Removal(scorer(small, X[:1]), cells, "black")(keep)
    torch.testing.assert_close(found, Removal(scorer(Mean(), X[:1]), cells, "black")(keep))
    assert max(small.sizes) == 2
    with pytest.raises(CallError, match="memory does not hold one masked picture"):
        Removal(Scorer(_subject(Mean(holds=1), X), 1), grid_cells(X, 2), "black")(keep)  # two pictures a mask


def test_other_errors_are_not_taken_for_memory() -> None:
    class Broken(Mean):
        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 1:
                raise RuntimeError("a shape does not fit")
            return super().forward(x)

    with pytest.raises(RuntimeError, match="a shape does not fit"):
        Removal(scorer(Broken(), X[:1]), grid_cells(X[:1], 2), "black")(torch.ones(4, 6, dtype=torch.bool))


def test_masks_of_other_cells_are_refused() -> None:
    with pytest.raises(LayoutError, match="masks of 5 cells for 6"):
        Removal(scorer(Mean(), X), grid_cells(X, 2))(torch.ones(2, 5, dtype=torch.bool))


def test_a_subset_of_tokens_is_scored_whatever_their_number(tiny_vit: nn.Module) -> None:
    x = rg.image("sample:coffee", like=tiny_vit)
    score = scorer(tiny_vit, x, 7)
    cells = grid_cells(x, 7)
    removal = Removal(score, cells, "drop")
    keep = bernoulli(9, cells.count, gen())
    keep[0], keep[1] = True, False
    found = removal(keep)
    torch.testing.assert_close(found[0], removal.whole, rtol=1e-4, atol=1e-4)
    assert removal._drop is not None
    with torch.no_grad():
        slow = torch.stack([removal._drop.masked(one[None, None]) for one in keep])
    torch.testing.assert_close(found, slow.double(), rtol=1e-4, atol=1e-4)
