from __future__ import annotations

import numpy as np
import pytest

import regard as rg

from .additive import as_map, make


def test_it_is_the_difference_of_both_deletion_areas() -> None:
    model, x, contributions = make(1)
    bank = rg.bank(model, x, as_map(contributions), target=1, orders=8, steps=6, baseline="mean")
    got = rg.score(as_map(contributions), model, x, metric="srg", bank=bank)
    most, least = (
        rg.score(as_map(v), model, x, metric="deletion", bank=bank).value for v in (contributions, -contributions)
    )
    assert got.value == pytest.approx(least - most)
    areas = rg.score(as_map(contributions), model, x, metric="deletion", bank=bank).null
    np.testing.assert_allclose(got.null, np.roll(areas, 1) - areas, atol=1e-12)
    assert got.null.sum() == pytest.approx(0, abs=1e-12)
    turned = rg.score(as_map(-contributions), model, x, metric="srg", bank=bank)
    assert turned.value == pytest.approx(-got.value)
    assert got.p == pytest.approx(1 / 9)


def test_one_order_is_no_null() -> None:
    model, x, contributions = make(1)
    got = rg.score(as_map(contributions), model, x, metric="srg", orders=1, target=1)
    assert (got.n, got.p) == (0, None)
