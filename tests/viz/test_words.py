from __future__ import annotations

import itertools

import numpy as np
import pytest

import regard as rg
from regard.errors import DegenerateError, LayoutError
from regard.viz.words import PLACES, fewest, shares_of_places


def made(values: object, target: str | None = "tabby") -> rg.Map:
    array = np.asarray(values, dtype=np.float64)[None]
    return rg.Map(array, rg.Grid(*array.shape[1:]), "rise", target=target)


def test_shares_are_those_of_the_map_cut_into_ninths() -> None:
    part = np.random.default_rng(0).random((7, 10))
    large = part.repeat(3, 0).repeat(3, 1)  # now thirds are whole pixels
    wanted = [large[7 * r : 7 * r + 7, 10 * c : 10 * c + 10].sum() / large.sum() for r in range(3) for c in range(3)]
    np.testing.assert_allclose(shares_of_places(part), wanted)


def test_the_fewest_places_are_those_of_an_exhaustive_search() -> None:
    draws = np.random.default_rng(1)
    for coverage in (0.2, 0.5, 0.9, 1.0):
        shares = draws.dirichlet(np.full(9, 0.5))
        size, best = next(
            (n, max(itertools.combinations(range(9), n), key=lambda some: shares[list(some)].sum()))
            for n in range(1, 10)
            if max(shares[list(s)].sum() for s in itertools.combinations(range(9), n)) >= coverage - 1e-12
        )
        found = fewest(shares, coverage)
        assert len(found) == size
        assert set(found) == set(best)


def test_signs_are_told_apart() -> None:
    text = made([[0, 0, 2], [0, 0, 0], [-1, 0, 0]]).describe()
    assert text == (
        "For tabby speaks the upper right (100 %): 100 % of what is positive. "
        "Against it: the lower left (100 %): 100 %."
    )
    assert made(-np.eye(3)).describe(coverage=0.9).count(PLACES[4]) == 1
    assert "For" not in made(-np.eye(3)).describe()


def test_refusals() -> None:
    with pytest.raises(DegenerateError, match="cannot be described"):
        made(np.zeros((3, 3))).describe()
    with pytest.raises(LayoutError, match="map 1 of 1"):
        made(np.eye(3)).describe(index=1)
