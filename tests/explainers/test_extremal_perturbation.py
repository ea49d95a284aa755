from __future__ import annotations

import math

import pytest
import torch

from regard.errors import DegenerateError, LayoutError
from regard.explainers.extremal_perturbation import smooth_maximum

from .models import draw, explained, values
from .test_meaningful_perturbation import INSIDE, Blobs, X


def slow(seeds: torch.Tensor) -> torch.Tensor:
    made = torch.zeros_like(seeds)
    n, h, w = seeds.shape
    for b in range(n):
        for i in range(h):
            for j in range(w):
                terms = []
                for k in range(max(0, i - 6), min(h, i + 7)):
                    for m in range(max(0, j - 6), min(w, j + 7)):
                        distance = math.hypot(i - k, j - m)
                        terms.append(math.exp(-2 * max(0.0, distance / 3 - 0.5) ** 2) * float(seeds[b, k, m]))
                weights = [math.exp(20 * t) for t in terms]
                made[b, i, j] = sum(t * v for t, v in zip(terms, weights, strict=True)) / sum(weights)
    return made


def test_the_smooth_maximum_is_the_sum_written_out() -> None:
    seeds = draw(2, 7, 9, seed=3).sigmoid()
    torch.testing.assert_close(smooth_maximum(seeds), slow(seeds))


@pytest.mark.parametrize("game", ["preserve", "delete"])
def test_each_mask_has_its_area_and_lies_on_the_blob(game: str) -> None:
    for area in (0.0625, 0.2):
        made = values(
            explained(
                Blobs(), X, "extremal_perturbation", game=game, areas=(area,), side=24, steps=150, baseline="black"
            )
        )[0]
        assert float((made > 0.5).double().mean()) == pytest.approx(area, abs=0.02)
        held = float(made[INSIDE].mean())
        assert held > 0.9 if area > 0.1 else held > 0.75  # the mask's corners are round, the blob's are not


def test_areas_are_one_batch_and_their_masks_are_averaged() -> None:
    how = {"side": 12, "steps": 20, "baseline": "black"}
    both = values(explained(Blobs(), X, "extremal_perturbation", areas=(0.1, 0.3), **how))
    alone = [values(explained(Blobs(), X, "extremal_perturbation", areas=(a,), **how)) for a in (0.1, 0.3)]
    torch.testing.assert_close(both, (alone[0] + alone[1]) / 2)


def test_refusals() -> None:
    for areas in ((), (0.0,), (0.2, 1.5)):
        with pytest.raises(LayoutError, match="shares between 0 and 1"):
            explained(Blobs(), X, "extremal_perturbation", areas=areas)
    with pytest.raises(DegenerateError, match="without evidence scores"):
        explained(Blobs(), X, "extremal_perturbation", target=0, side=12, baseline="black")
