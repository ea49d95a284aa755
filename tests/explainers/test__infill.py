from __future__ import annotations

import pytest
import torch
from torch import Tensor

from regard.errors import LayoutError, MethodError
from regard.explainers._infill import infill_of, local_mean
from regard.mechanisms import ALL
from regard.subjects.forward import Subject
from regard.subjects.scorer import Scorer

from .models import Linear, draw

X = draw(2, 3, 20, 24)
SCORE = Scorer(Subject(Linear((3, 20, 24)), X, ALL), 1)


def test_a_pixel_is_drawn_from_those_that_stay_by_a_gaussian_around_it() -> None:
    """Sums by hand over all pixels; sigma is a twentieth of the longer side, cut at three sigma; edges are repeated."""
    kept = torch.rand(2, 1, 20, 24, generator=torch.Generator().manual_seed(1)) < 0.5
    made = local_mean(X, kept)
    sigma, reach = 1.2, 4
    for picture, row, column in ((0, 9, 11), (1, 0, 23)):
        above, below = torch.zeros(3, dtype=torch.float64), 0.0
        total = sum(
            torch.exp(torch.tensor(-(d**2) / (2 * sigma**2), dtype=torch.float64)) for d in range(-reach, reach + 1)
        )
        for down in range(-reach, reach + 1):
            for across in range(-reach, reach + 1):
                at = min(max(row + down, 0), 19), min(max(column + across, 0), 23)
                weight = torch.exp(torch.tensor(-(down**2 + across**2) / (2 * sigma**2), dtype=torch.float64))
                weight = float(weight / total**2) * float(kept[picture, 0][at])
                above, below = above + weight * X[picture, :, at[0], at[1]], below + weight
        torch.testing.assert_close(made[picture, :, row, column], above / below, atol=2e-3, rtol=0)


def test_where_nothing_is_near_the_plain_mean_of_what_stays_is_drawn() -> None:
    kept = torch.zeros(2, 1, 20, 24, dtype=torch.bool)
    kept[:, :, :3, :3] = True
    torch.testing.assert_close(local_mean(X, kept)[:, :, -1, -1], X[:, :, :3, :3].mean((2, 3)))
    assert not local_mean(X, torch.zeros_like(kept)).any()


def test_a_name_a_baseline_or_a_function() -> None:
    generator, kept = torch.Generator(), torch.ones(4, 1, 20, 24, dtype=torch.bool)
    many = X.repeat(2, 1, 1, 1)
    assert infill_of("local", SCORE, generator) is local_mean
    torch.testing.assert_close(infill_of("mean", SCORE, generator)(many, kept)[3], SCORE.baseline("mean")[1])

    def twice(pictures: Tensor, kept: Tensor) -> Tensor:
        return 2 * pictures

    torch.testing.assert_close(infill_of(twice, SCORE, generator)(X, kept), 2 * X)


def test_refusals() -> None:
    with pytest.raises(MethodError, match="dreams"):
        infill_of("dreams", SCORE, torch.Generator())
    with pytest.raises(LayoutError, match=r"gives \[2, 3, 20\] for pictures \[2, 3, 20, 24\]"):
        infill_of(lambda pictures, kept: pictures[..., 0], SCORE, torch.Generator())(X, X[:, :1] > 0)
