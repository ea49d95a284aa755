from __future__ import annotations

import pytest

import regard as rg
from regard.errors import LayoutError

from .pairs import check


@pytest.mark.parametrize(("axes", "flags"), [(7, True), ((3, 4), (True, False)), ((2, 3, 2), (False, True, True))])
def test_no_later_key_on_a_causal_axis(axes: int | tuple[int, ...], flags: bool | tuple[bool, ...]) -> None:
    pattern = rg.patterns.causal(axes, flags)
    told = (flags,) if isinstance(flags, bool) else flags
    check(pattern, lambda i, j: all(b <= a or not one for a, b, one in zip(i, j, told, strict=True)))


def test_window_of_full_length_is_causal() -> None:
    assert rg.patterns.neighborhood(9, 9, causal=True) == rg.patterns.causal(9)
    assert rg.patterns.neighborhood(9, 8, causal=True) != rg.patterns.causal(9)


def test_refusal() -> None:
    with pytest.raises(LayoutError, match=r"axes = \(True, False\) has 2 numbers; space 7 has 1 axes"):
        rg.patterns.causal(7, (True, False))
