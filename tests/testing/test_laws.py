"""The law book itself; that every method obeys, and every fault is caught, stands in tests/laws."""

from __future__ import annotations

from dataclasses import replace

import pytest

from regard.registry import FAMILIES, cards
from regard.testing.laws import LAWS, LawBrokenError, check, demand, laws_of


def test_every_family_is_bound_by_laws() -> None:
    for family in FAMILIES:
        card = next(iter(cards(family).values()))
        names = {one.name for one in laws_of(card)}
        assert {"layout", "finite", "determinism", "nothing_left_behind", "precision"} <= names


def test_every_law_says_what_it_asks() -> None:
    assert all((one.check.__doc__ or "").strip() for one in LAWS.values())


def test_check_runs_them_all_and_names_the_method() -> None:
    card = cards("explainers")["rollout"]
    check(card)

    def broken(record: object) -> object:
        got = card.function(record)
        return replace(got, values=got.values * float("nan"))

    with pytest.raises(LawBrokenError, match=r"explainers\.rollout: gives \d+ NaN"):
        check(replace(card, function=broken))


def test_demand() -> None:
    card = cards("probes")["entropy"]
    demand(True, card, "never told")
    with pytest.raises(LawBrokenError, match=r"probes\.entropy: told"):
        demand(False, card, "told")
