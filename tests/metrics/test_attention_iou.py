from __future__ import annotations

import pytest

import regard as rg
from regard.metrics.attention_iou import overlap

from .regions import MODEL, X, as_map, random_map, region


def test_it_equals_the_formula_and_its_bounds() -> None:
    a, b = (random_map(i).abs()[None] for i in (0, 1))
    m, n = a / a.sum(), b / b.sum()
    assert overlap(a, b)[0] == pytest.approx(float((m * n).sum() / (((m + n) / 2) ** 2).sum()))
    assert overlap(a, 3 * a)[0] == pytest.approx(1)
    left = a.clone()
    left[:, :, 4:] = 0
    assert overlap(left, a - left)[0] == 0
    assert overlap(a * 0, a)[0] == 0  # no mass is no NaN


def test_the_score_is_the_overlap_with_the_region() -> None:
    values, inside = random_map(2), region(reach=1)
    laid = inside.double().view(8, 4, 8, 4).mean((1, 3))
    got = rg.score(as_map(values), MODEL, X, metric="attention_iou", region=inside)
    assert got.value == pytest.approx(float(overlap(values[None], laid[None])[0]))
    assert rg.score(as_map(laid), MODEL, X, metric="attention_iou", region=inside).value == pytest.approx(1)
