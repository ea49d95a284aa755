from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import LayoutError
from regard.patterns._space import Space, as_space, check_operands, fits, per_axis


def test_what_is_a_space() -> None:
    assert as_space(rg.Grid(2, 3, prefix=1)) == Space((2, 3), 1)
    assert as_space(6) == as_space([6]) == as_space(Space((6,))) == Space((6,))
    assert str(as_space(rg.Grid(2, 3, prefix=1))) == "2x3+1"
    for space in (Space((5,)), Space((2, 3), 1), Space((2, 3, 4))):
        numbers = torch.arange(space.body).view(space.axes)
        for at, places in enumerate(space.places(numbers)):
            assert places.equal(
                torch.arange(space.axes[at]).view(-1, *[1] * (len(space.axes) - at - 1)).expand_as(places)
            )


def test_refusals() -> None:
    for wrong in ((), (1, 2, 3, 4), (0, 3), (2, -1)):
        with pytest.raises(LayoutError, match="one to three axes of at least 1 token"):
            as_space(wrong)
    with pytest.raises(LayoutError, match="'x' is no space"):
        as_space("x")
    with pytest.raises(LayoutError, match="prefix -1"):
        Space((2,), -1)


def test_numbers_for_axes() -> None:
    assert per_axis(3, Space((4, 5)), "window") == (3, 3)
    with pytest.raises(LayoutError, match=r"window = 2\.5 counts tokens"):
        per_axis(2.5, Space((4,)), "window")
    with pytest.raises(LayoutError, match="window = 0; it is at least 1"):
        per_axis(0, Space((4,)), "window")
    with pytest.raises(LayoutError, match=r"window = \(5, 5\) is larger than space 4x5 \(5 > 4\)"):
        fits("window", (5, 5), Space((4, 5)))


def test_operands() -> None:
    good = torch.zeros(1, 4, 6, 2)
    check_operands(good, good[:, :2], Space((6,)), Space((2, 3)))
    for bad in (good[0], good[..., :1], good[:, :3], good[:, :, :5]):
        with pytest.raises(LayoutError, match="on spaces 6 and 6"):
            check_operands(good, bad, Space((6,)), Space((6,)))
