from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import EditError

from .eager import CASES, SQUARE, Case, H, N, check, edited, probs_under, softmax


def cut(keys: list[int], queries: list[int] | None, heads: list[int], width: int) -> torch.Tensor:
    mask = torch.zeros(1, H, N, width, dtype=torch.bool)
    for h in heads:
        for i in range(N) if queries is None else queries:
            mask[0, h, i, keys] = True
    return mask


@pytest.mark.parametrize("name", CASES)
def test_keys_are_masked(name: str) -> None:
    case = CASES[name]
    mask = cut([1, 2], None, list(range(H)), case.keys)
    check(rg.edits.knockout(keys=[1, 2]), lambda s, v: softmax(s.masked_fill(mask, float("-inf"))) @ v, case)


@pytest.mark.parametrize("name", SQUARE)
def test_edges_are_cut_in_chosen_heads(name: str) -> None:
    mask = cut([0, 6], [2, 5], [1, 2], N)
    edit = rg.edits.knockout(keys=[0, -1], queries=torch.tensor([2, 5]), heads=[1, 2])
    check(edit, lambda s, v: softmax(s.masked_fill(mask, float("-inf"))) @ v, SQUARE[name])
    probs = probs_under(edit, SQUARE[name])
    assert not probs[mask.expand_as(probs)].any()  # exactly zero


def test_a_query_with_no_key_left_gets_zeros_and_a_finite_gradient() -> None:
    edit = rg.edits.knockout(keys=None, queries=[3])
    for name in ("fused", "fused, float bias"):
        assert not edited(edit, CASES[name])[:, :, 3].any()
    mask = torch.ones(N, N, dtype=torch.bool)
    mask[3] = False
    check([edit, lambda probs: probs], lambda s, v: softmax(s.masked_fill(~mask, -1e300)) * mask @ v, Case())


@pytest.mark.parametrize(
    ("keys", "text"),
    [([7], "no key 7"), ([-8], "no key -8"), (torch.ones(5, dtype=torch.bool), r"a mask of \[5\] for 7 tokens")],
)
def test_refusals(keys: object, text: str) -> None:
    with pytest.raises(EditError, match=text):
        edited(rg.edits.knockout(keys=keys), Case())  # type: ignore[arg-type]
