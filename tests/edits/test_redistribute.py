from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import EditError

from .eager import CASES, SQUARE, Case, H, check, edited, plain, probs_under, softmax


def moved(p: torch.Tensor, keys: list[int], share: float, to: list[int] | None) -> torch.Tensor:
    """Query by query, as the paper says it."""
    p = p.clone()
    targets = [j for j in range(p.shape[-1]) if j not in keys] if to is None else to
    of_targets = p[..., targets].sum(-1, keepdim=True)
    freed = share * p[..., keys].sum(-1, keepdim=True)
    grown = p[..., targets] * (1 + freed / of_targets)
    p[..., keys] = p[..., keys] * (1 - share)
    p[..., targets] = grown
    return p


SIGHTED = [n for n in CASES if "mask" not in n and "causal" not in n]  # every query sees some target


@pytest.mark.parametrize("name", SIGHTED)
@pytest.mark.parametrize("to", [None, [2, 3]])
def test_mass_is_moved_in_proportion(name: str, to: list[int] | None) -> None:
    edit = rg.edits.redistribute([0, 4], 0.6, to=to)

    def slow(s: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        return moved(softmax(s), [0, 4], 0.6, to) @ v

    check(edit, slow, CASES[name])
    check([edit, lambda probs: probs], slow, CASES[name])


@pytest.mark.parametrize("name", SQUARE)
def test_rows_keep_their_sum_and_queries_without_a_target_their_row(name: str) -> None:
    case = SQUARE[name]
    before = softmax(case.logits(*case.tensors[:2]))
    after = probs_under(rg.edits.redistribute([0], 0.6, to=[5]), case)
    torch.testing.assert_close(after.sum(-1), before.sum(-1))
    blind = before[..., 5] == 0
    torch.testing.assert_close(after[blind], before[blind])
    torch.testing.assert_close(edited(rg.edits.redistribute([0], 0.6, to=[5]), case), after @ case_values(case))


def case_values(case: Case) -> torch.Tensor:
    return case.tensors[2].repeat_interleave(H // case.shared, 1)


@pytest.mark.parametrize("name", ["fused", "fused, float bias", "by hand"])
def test_all_of_it_to_all_others_is_masking(name: str) -> None:
    case = CASES[name]
    torch.testing.assert_close(edited(rg.edits.redistribute([1, 2]), case), edited(rg.edits.knockout([1, 2]), case))


def test_none_of_it_changes_no_bit() -> None:
    assert torch.equal(edited(rg.edits.redistribute([0], 0.0), Case()), plain(Case()))
    with pytest.raises(EditError, match="share = 2"):
        rg.edits.redistribute([0], 2.0)


def test_other_heads_are_untouched() -> None:
    out = edited(rg.edits.redistribute([0], 0.6, heads=[1]), Case())
    assert torch.equal(out[:, [0, 2, 3]], plain(Case())[:, [0, 2, 3]])
