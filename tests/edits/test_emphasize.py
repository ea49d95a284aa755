from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import EditError

from .eager import CASES, Case, H, check, edited, plain, probs_under, softmax


def multiplied(p: torch.Tensor, gain: torch.Tensor | float, keys: list[int]) -> torch.Tensor:
    p = p.clone()
    p[..., keys] = p[..., keys] * gain
    return p / p.sum(-1, keepdim=True)


@pytest.mark.parametrize("name", CASES)
def test_weights_are_multiplied_and_renormalised(name: str) -> None:
    check(rg.edits.emphasize([0, 3], 2.5), lambda s, v: multiplied(softmax(s), 2.5, [0, 3]) @ v, CASES[name])


def test_each_head_has_its_gain() -> None:
    gain = torch.tensor([1.0, 0.2, 1.0, 5.0], dtype=torch.float64).view(1, H, 1, 1)
    edit = rg.edits.emphasize([1], torch.tensor([0.2, 5.0], dtype=torch.float64), heads=[1, 3])
    check(edit, lambda s, v: multiplied(softmax(s), gain, [1]) @ v, Case())


def test_mass_rises_with_the_gain_and_one_is_the_identity() -> None:
    mass = [float(probs_under(rg.edits.emphasize([2, 4], g), Case())[..., [2, 4]].sum()) for g in (0.5, 1.0, 2.0, 8.0)]
    assert mass == sorted(mass)
    assert len(set(mass)) == 4
    torch.testing.assert_close(edited(rg.edits.emphasize([2], 1.0), Case()), plain(Case()))


def test_only_chosen_queries_change() -> None:
    out = edited(rg.edits.emphasize([2], 3.0, queries=[1, 5]), Case())
    changed = (out - plain(Case())).abs().amax((0, 1, 3)) > 1e-12
    assert changed.nonzero().flatten().tolist() == [1, 5]


def test_refusals() -> None:
    with pytest.raises(EditError, match="a gain of 0"):
        rg.edits.emphasize([0], 0.0)
