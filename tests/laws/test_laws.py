"""Every method in the catalogue obeys every law that binds its family; every law can be broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from regard.registry import FAMILIES, Card, cards
from regard.testing.laws import LAWS, LawBrokenError, laws_of

ALL = [(card, one) for family in FAMILIES for card in cards(family).values() for one in laws_of(card)]


@pytest.mark.parametrize(("card", "law"), ALL, ids=[f"{c.family}.{c.name}-{one.name}" for c, one in ALL])
def test_law(card: Card, law: Any) -> None:
    law.check(card)


def _swap(values: Any, new: torch.Tensor) -> Any:
    return new if isinstance(values, torch.Tensor) else replace(values, values=new)


def _sabotage(spoil: Callable[..., torch.Tensor]) -> Callable[[Card], Card]:
    """A card whose function does its work and then spoils the values."""

    def spoiled(card: Card) -> Card:
        def function(*subjects: Any) -> Any:
            got = card.function(*subjects)
            values = got if isinstance(got, torch.Tensor) else got.values
            return _swap(got, spoil(values, subjects))

        return replace(card, function=function)

    return spoiled


def _half(values: torch.Tensor, _: Any) -> torch.Tensor:
    return values.half().float() if values.dtype == torch.float32 else values


def _half_type(values: torch.Tensor, _: Any) -> torch.Tensor:
    return values.float()


def _cut(values: torch.Tensor, _: Any) -> torch.Tensor:
    return values.detach()


def _mean_of_batch(values: torch.Tensor, _: Any) -> torch.Tensor:
    return values - values.mean(0, keepdim=True)


def _noisy(values: torch.Tensor, _: Any) -> torch.Tensor:
    fresh = torch.Generator()
    fresh.seed()
    return values + 1e-3 * torch.rand(values.shape, generator=fresh, dtype=values.dtype)


def _with_infinity(values: torch.Tensor, _: Any) -> torch.Tensor:
    return values / torch.zeros(())


def _transposed(values: torch.Tensor, _: Any) -> torch.Tensor:
    return values.transpose(-1, -2)


def _too_few_queries(values: torch.Tensor, _: Any) -> torch.Tensor:
    return values[:, :1]


def _seeds_globally(card: Card) -> Card:
    def function(*subjects: Any) -> Any:
        torch.manual_seed(7)
        return card.function(*subjects)

    return replace(card, function=function)


def _worse_is_better(card: Card) -> Card:
    def function(*subjects: Any) -> Any:
        got = card.function(*subjects)
        return replace(got, higher_is_better=not got.higher_is_better)

    return replace(card, function=function)


FAULTS: dict[str, tuple[str, str, Callable[[Card], Card]]] = {
    "layout": ("probes", "entropy", _sabotage(_too_few_queries)),
    "finite": ("explainers", "rollout", _sabotage(_with_infinity)),
    "determinism": ("explainers", "attention", _sabotage(_noisy)),
    "batch_independence": ("objects", "pca", _sabotage(_mean_of_batch)),
    "nothing_left_behind": ("explainers", "rollout", _seeds_globally),
    "precision": ("explainers", "gradcam", _sabotage(_half)),
    "planted": ("explainers", "rollout", _sabotage(_transposed)),
    "type_kept": ("operators", "flow", _sabotage(_half_type)),
    "differentiable": ("operators", "linear", _sabotage(_cut)),
    "tells_right_from_wrong": ("metrics", "deletion", _worse_is_better),
}


def test_every_law_has_a_fault() -> None:
    assert set(FAULTS) == set(LAWS)


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_turns_its_law_red(name: str) -> None:
    family, method, spoil = FAULTS[name]
    state = torch.get_rng_state()
    try:
        with pytest.raises(LawBrokenError, match=method):
            LAWS[name].check(spoil(cards(family)[method]))
    finally:
        torch.set_rng_state(state)
