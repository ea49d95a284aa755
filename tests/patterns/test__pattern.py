from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import LayoutError
from regard.patterns._pattern import BLOCK, Held, block_of

from .pairs import check

GRID = rg.Grid(4, 5, prefix=2)


def test_and_or_are_those_of_the_masks() -> None:
    some = [
        rg.patterns.neighborhood(GRID, 3), rg.patterns.window(GRID, (2, 3), 1), rg.patterns.axial(GRID, 0),
        rg.patterns.random(GRID, 4), rg.patterns.neighborhood(GRID, 2, dilation=2),
    ]  # fmt: skip
    for one in some:
        for other in some:
            assert check(one & other).equal((one.mask() & other.mask())[2:, 2:])
            assert check(one | other).equal((one.mask() | other.mask())[2:, 2:])
    assert (some[0] & some[1]).boxes is not None
    assert (some[0] & some[3]).boxes is None


def test_patterns_with_heads_join_those_without() -> None:
    mask = torch.eye(20, dtype=torch.bool).repeat(2, 3, 1, 1)
    joined = rg.patterns.explicit(mask, (4, 5), (4, 5)) | rg.patterns.axial((4, 5), 0)
    assert joined.lead == (2, 3)
    assert check(joined).equal(mask | rg.patterns.axial((4, 5), 0).mask())


def test_equal_patterns_are_equal_and_names_do_not_count() -> None:
    one, other = rg.patterns.neighborhood(8, 2, stride=2), rg.patterns.window(8, 2)
    assert one == other
    assert len({one, other, rg.patterns.window(8, 4), rg.patterns.window((8,), 2)}) == 2
    assert one.name != other.name
    assert repr(one) == "neighborhood(8, window=(2,), stride=(2,))"
    assert one != "window"
    assert Held(torch.tensor([1, 2])) != Held(torch.tensor([[1, 2]]))
    assert (one | rg.patterns.neighborhood(8, 2, dilation=3)) == (one | rg.patterns.neighborhood(8, 2, dilation=3))


def test_rows_come_in_blocks() -> None:
    wide = rg.patterns.sliding(5000, 3)
    sizes = [rows.shape[0] for _, rows in wide.blocks()]
    assert sum(sizes) == 5000
    assert max(sizes) * 5000 <= BLOCK
    assert wide.rows(4998, 6000).sum(-1).tolist() == [5, 4]


def test_blocks_are_numbered_row_by_row() -> None:
    assert block_of(torch.arange(12), (3, 4), (2, 3)).tolist() == [0, 0, 0, 1, 0, 0, 0, 1, 2, 2, 2, 3]


def test_plot() -> None:
    drawn = rg.patterns.neighborhood(GRID, 3).plot()
    assert drawn.get_images()[0].get_array().sum() == 9 + 1  # type: ignore[union-attr]
    assert "query 14" in drawn.get_title()
    assert rg.patterns.neighborhood(GRID, 3).plot(0).get_images()[0].get_array().sum() == 20  # type: ignore[union-attr]
    with pytest.raises(LayoutError, match=r"no query 22 in space 4x5\+2"):
        rg.patterns.neighborhood(GRID, 3).plot(22)


def test_refusals() -> None:
    with pytest.raises(LayoutError, match=r"window\(8, \(2,\)\) & window\(9, \(2,\)\): 8 -> 8 against 9 -> 9"):
        rg.patterns.window(8, 2) & rg.patterns.window(9, 2)
    with pytest.raises(LayoutError, match="against no pattern"):
        rg.patterns.window(8, 2) | "x"


def test_intervals_that_differ_from_the_rule_are_caught() -> None:
    """The planted fault: one interval is one key too long."""
    from dataclasses import replace

    good = rg.patterns.window(6, 2)
    with pytest.raises(AssertionError, match="intervals differ from the rule"):
        check(replace(good, rule=rg.patterns.window(6, 3).rule, boxes=good.boxes, name="false"), None)


def test_a_pattern_does_not_change() -> None:
    pattern = rg.patterns.window(9, 3)
    with pytest.raises(AttributeError, match="a pattern does not change: name of window"):
        pattern.name = "other"
