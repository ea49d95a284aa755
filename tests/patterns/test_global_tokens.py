from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import LayoutError

from .pairs import check


@pytest.mark.parametrize(("axes", "tokens"), [((4, 5), [0]), ((4, 5), [7, 19, 7]), ((9,), [3, 4]), ((2, 3, 3), [9])])
def test_rows_and_columns_are_full(axes: tuple[int, ...], tokens: list[int]) -> None:
    pattern = rg.patterns.global_tokens(axes, tokens)
    body = check(pattern)
    expected = torch.zeros_like(body)
    expected[tokens] = True
    expected[:, tokens] = True
    assert body.equal(expected)
    joined = rg.patterns.window(axes, 2) | pattern
    assert check(joined).equal(rg.patterns.window(axes, 2).mask() | expected)
    assert joined.boxes is not None


def test_refusals() -> None:
    with pytest.raises(LayoutError, match=r"global tokens \[20\] in space 4x5"):
        rg.patterns.global_tokens((4, 5), [20])
    with pytest.raises(LayoutError, match=r"global tokens \[\] in space 4"):
        rg.patterns.global_tokens(4, [])
