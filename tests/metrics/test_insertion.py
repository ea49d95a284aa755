from __future__ import annotations

import numpy as np
import pytest

import regard as rg

from .additive import make, removal_curve
from .test_deletion import as_map


def test_curve_and_area_equal_the_slow_way() -> None:
    model, x, contributions = make()
    score = rg.score(as_map(contributions), model, x, metric="insertion", target=1, baseline="mean", steps=12, orders=3)
    order = contributions.argsort(descending=True)
    # with the first j of the order present, the others are gone
    slow = [removal_curve(model, x, order.flip(0), [12 - j])[0] for j in range(13)]
    np.testing.assert_allclose(score.curve[1], slow, rtol=1e-9)
    np.testing.assert_allclose(score.curve[0], np.arange(13) / 12, atol=1e-12)
    assert score.value == pytest.approx(np.trapezoid(slow, np.arange(13) / 12))
    assert score.direction == "higher"


def test_inserting_is_deleting_backwards() -> None:
    """The identity behind the shared bank: insertion of m = deletion of -m, read from the other end."""
    model, x, contributions = make(1)
    bank = rg.bank(model, x, as_map(contributions), target=1, orders=6, steps=7)
    inserted = rg.score(as_map(contributions), model, x, metric="insertion", target=1, bank=bank)
    deleted = rg.score(as_map(-contributions), model, x, metric="deletion", target=1, bank=bank)
    np.testing.assert_allclose(inserted.curve[1], deleted.curve[1][::-1])
    assert inserted.value == pytest.approx(deleted.value)
    np.testing.assert_allclose(inserted.null, deleted.null)


def test_p_counts_maps_at_least_as_good() -> None:
    model, x, contributions = make(2)
    heat = as_map(contributions)
    score = rg.score(heat, model, x, metric="insertion", target=1, baseline="mean", orders=19, steps=12)
    assert score.p == (1 + (score.null >= score.value).sum()) / 20
    assert score.p == pytest.approx(0.05)  # the true contributions beat every one of 19 random orders
