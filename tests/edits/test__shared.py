"""Heads and tokens as edits take them."""

from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.core.attend import attend
from regard.core.call import Call
from regard.edits._shared import above_zero, check_share, chosen_heads, members, numbers, on_heads, shown, told
from regard.errors import EditError

CALL = Call("attn", 0, "by hand", weights=torch.ones(2, 3, 4, 5) / 5)


def test_values_go_to_their_heads() -> None:
    assert on_heads(CALL, [2, 0], torch.tensor([7.0, 8.0]), 1.0).flatten().tolist() == [8.0, 1.0, 7.0]
    assert on_heads(CALL, None, 2.0, 0.0).flatten().tolist() == [2.0, 2.0, 2.0]
    assert chosen_heads(CALL, [1]).flatten().tolist() == [False, True, False]
    assert chosen_heads(CALL, 1).flatten().tolist() == [False, True, False]
    for mask in ([True, False, True], torch.tensor([True, False, True])):
        assert chosen_heads(CALL, mask).flatten().tolist() == [True, False, True]
    with pytest.raises(EditError, match="a mask of 2 for 3 heads"):
        chosen_heads(CALL, [True, False])


def test_tokens_are_counted_from_either_end_or_masked() -> None:
    assert members(CALL, [0, -1], "key").tolist() == [True, False, False, False, True]
    assert members(CALL, range(1, 3), "query").tolist() == [False, True, True, False]
    mask = torch.tensor([True, False, False, True])
    assert torch.equal(members(CALL, mask, "query"), mask)
    assert members(CALL, None, "key").all()
    with pytest.raises(EditError, match="no query 4 at attn: it has 4"):
        members(CALL, [4], "query")


def test_shares_and_names() -> None:
    check_share("share", 1.0)
    with pytest.raises(EditError, match="nan is no share"):
        check_share("share", float("nan"))
    assert (told(None), told((1, 2))) == ("", ", heads=[1, 2]")


def test_numbers_are_one_or_one_for_each_head() -> None:
    assert numbers(2, "gain") == 2
    made = numbers([1.0, 2.0], "gain")
    assert isinstance(made, torch.Tensor)
    assert made.tolist() == [1.0, 2.0]
    assert (shown(made), shown(0.5)) == ([2], 0.5)
    for wrong in ("much", None, True, [[1.0], [2.0, 3.0]]):
        with pytest.raises(EditError, match=r"a gain of .*\n  try: one number, or one for each chosen head"):
            numbers(wrong, "gain")
    assert above_zero(3.0, "gain", "") == 3.0
    for wrong_number, told_as in (
        (0.0, "0.0"),
        ([1.0, -2.0], "-2.0"),
        (float("nan"), "nan"),
        ([1.0, float("inf")], "inf"),
    ):
        with pytest.raises(EditError, match=f"a gain of {told_as}"):
            above_zero(wrong_number, "gain", "above 0")


def test_lists_do_as_well_as_tensors() -> None:
    call = Call("attn", 0, "sdpa", *torch.randn(3, 1, 2, 3, 4, generator=torch.Generator().manual_seed(0)))
    for edit in (rg.edits.temperature, rg.edits.scale_heads):
        listed, made = edit([0.5, 2.0]), edit(torch.tensor([0.5, 2.0]))
        torch.testing.assert_close(attend(listed(call))[1], attend(made(call))[1])
        assert repr(listed) == repr(made)
