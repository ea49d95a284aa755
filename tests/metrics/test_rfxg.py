from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

import regard as rg
from regard.errors import LayoutError, MethodError
from regard.metrics.rfxg import SHARES, _check

from .additive import GRID, LinearScore, as_map, make_linear

WHOLE = {"group": (0, 1), "against": (2,), "baseline": "mean"}


def score(values: torch.Tensor, **options: Any) -> rg.Score:
    model, x, _ = make_linear()
    return rg.score(as_map(values), model, x, metric=partial(rg.metrics.rfxg, **{**WHOLE, **options}), target=1)


def slow(values: torch.Tensor, question: str, variant: str) -> float:
    """Cell by cell and class by class; a = 1, A = {0, 1}, B = {2}."""
    model, x, _ = make_linear()
    assert isinstance(model, LinearScore)
    whole = model(x).softmax(1)[0]
    order, found = values.argsort(descending=True), []
    for share in SHARES:
        gone = torch.zeros(12, dtype=torch.bool)
        gone[order[: round(share * 12)]] = True
        full = gone.view(1, 1, GRID.h, GRID.w).repeat_interleave(8, 2).repeat_interleave(8, 3)
        p = model(torch.where(full, x.mean((2, 3), keepdim=True), x)).softmax(1)[0]
        d, s = whole - p, 1.0 if variant == "released" else -1.0
        group = (d[0] + d[1]) / 2
        found.append(float({
            "ccs": p[2] - p[1] if variant == "released" else d[1] - d[2],
            "cgc": (d[1] + s * d[0]) / 2, "pgs": group, "cgs": (group + s * d[2]) / 2,
        }[question]))  # fmt: skip
    return float(np.trapezoid(found, SHARES) / 0.8)


@pytest.mark.parametrize("variant", ["difference", "released"])
@pytest.mark.parametrize("question", ["ccs", "cgc", "pgs", "cgs"])
def test_it_equals_the_slow_form(question: str, variant: str) -> None:
    values = torch.randn(12, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    got = score(values, question=question, variant=variant)
    assert got.value == pytest.approx(slow(values, question, variant))
    assert got.forwards == 1 + 10 * 9


def test_without_another_class_it_is_the_pointwise_drop() -> None:
    values = make_linear()[2]
    alone = score(values, against=(), group=())
    assert alone.value == pytest.approx(score(values, question="pgs", group=(1,)).value)
    assert alone.p == pytest.approx(0.1)


def test_what_rfxg_refuses() -> None:
    with pytest.raises(MethodError, match="'css'"):
        _check("css", (), ())
    with pytest.raises(LayoutError, match="cgs asks for groups"):
        score(make_linear()[2], question="cgs", against=())
