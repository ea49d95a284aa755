"""Cells of a table of heads: a colour between the smallest and the largest, ink that can be read on it."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import colormaps

from regard.report.cells import Shade, shade, shades, text_of


def test_the_smallest_and_largest_get_the_ends_of_the_palette_and_holes_none() -> None:
    found = shades(np.array([[1.0, 3.0], [np.nan, 2.0]]))
    ends = [tuple(int(255 * c) for c in colormaps["viridis"](u)[:3]) for u in (0.0, 1.0, 0.5)]
    assert [found[0][0], found[0][1], found[1][1]] == ends
    assert found[1][0] is None


def test_equal_numbers_get_the_middle_and_no_numbers_nothing() -> None:
    assert shades(np.full((1, 2), 4.0)) == [[shade(0.5)] * 2]
    assert shades(np.full((1, 2), np.nan)) == [[None, None]]


def test_a_shade_as_css_with_its_ink() -> None:
    assert (Shade(255, 255, 0).fill, Shade(255, 255, 0).ink, Shade(40, 0, 60).ink) == ("rgb(255,255,0)", "#000", "#fff")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.00"), (3.14159, "3.14"), (9.996, "10.0"), (-2.5, "-2.50"), (123.4, "123"), (99.96, "100"), (np.nan, "")],
)
def test_numbers_take_few_characters(value: float, text: str) -> None:
    assert text_of(value) == text
