"""Heads and tokens as edits take them."""

from __future__ import annotations

import pytest
import torch

from regard.core.call import Call
from regard.edits._shared import check_share, chosen_heads, members, on_heads, told
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
