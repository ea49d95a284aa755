"""Colours by hand on small arrays: one-sided, signed, constant, broken."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib import colormaps

from regard.errors import LayoutError
from regard.viz.colour import as_bytes, as_photo, as_rgb, limits, outline, overlay, resize

PHOTO = np.full((4, 8, 3), (200, 100, 0), dtype=np.uint8)


def ends(values: np.ndarray) -> tuple[float, float, str]:
    low, high, colours = limits(values)
    return low, high, colours.name


def test_one_sided_values_start_at_zero_and_forgive_one_extreme_cell() -> None:
    assert ends(np.array([[0.5, 1.0], [1.0, 1.0]])) == (0.0, 1.0, "inferno")
    many = np.full(1000, 2.0)
    many[0] = 900.0
    assert ends(many) == (0.0, 2.0, "inferno")
    assert ends(np.array([0.0] * 999 + [3.0])) == (0.0, 3.0, "inferno"), "one cell alone is no outlier of zeros"


def test_signed_values_are_symmetric_about_zero() -> None:
    assert ends(np.array([-2.0, 1.0, 2.0])) == (-2.0, 2.0, "coolwarm")
    low, high, name = ends(np.linspace(-1, 3, 1001))
    assert (low, name) == (-high, "coolwarm")
    assert high == pytest.approx(np.percentile(np.abs(np.linspace(-1, 3, 1001)), 99.5))


def test_all_negative_values_are_signed_too() -> None:
    """They speak against: a map of them must not look like one that speaks for."""
    assert ends(np.array([-3.0, -3.0, -1.0])) == (-3.0, 3.0, "coolwarm")


def test_constant_zero_and_broken_values_have_a_range() -> None:
    assert ends(np.zeros((3, 3))) == (0.0, 1.0, "inferno")
    assert ends(np.full((3, 3), 4.0)) == (0.0, 4.0, "inferno")
    assert ends(np.full((3, 3), -4.0)) == (-4.0, 4.0, "coolwarm")
    assert ends(np.full((2, 2), np.nan)) == (0.0, 1.0, "inferno")
    assert ends(np.array([np.nan, np.inf, 2.0, 2.0])) == (0.0, 2.0, "inferno")


def test_resize_repeats_blocks_or_blends_them() -> None:
    values = np.array([[0.0, 1.0], [2.0, 3.0]])
    np.testing.assert_array_equal(resize(values, (4, 6)), values.repeat(2, 0).repeat(3, 1))
    assert resize(values, (4, 6)).shape == (4, 6)
    soft = resize(values, (4, 4), smooth=True)
    np.testing.assert_allclose(soft[0], [0.0, 0.25, 0.75, 1.0])
    colours = np.stack([values, values * 2, values * 3], -1)
    np.testing.assert_array_equal(resize(colours, (2, 4))[..., 2], (values * 3).repeat(2, 1))


def by_hand(photo: np.ndarray, unit: float, weight: float, name: str) -> np.ndarray:
    """One pixel of an overlay: the photo paled, then covered as far as the value is large."""
    pale = 0.45 * photo + 0.25 * photo.mean() + 20.0
    alpha = 0.8 * weight**0.5
    coloured = np.array(colormaps[name](float(unit))[:3]) * 255
    return (pale * (1 - alpha) + coloured * alpha).astype(np.uint8)


def test_an_overlay_covers_where_values_are_large_and_pales_where_they_are_small() -> None:
    values = np.array([[0.0, 0.25, 1.0, 1.0]])
    drawn = overlay(PHOTO, values)
    assert (drawn.shape, drawn.dtype) == (PHOTO.shape, np.uint8)
    pixel = PHOTO[0, 0].astype(float)
    for column, unit in ((0, 0.0), (2, 0.25), (4, 1.0)):
        np.testing.assert_allclose(drawn[0, column], by_hand(pixel, unit, unit, "inferno"), atol=1)


def test_a_signed_overlay_covers_both_ends_and_pales_zero() -> None:
    drawn = overlay(PHOTO, np.array([[-1.0, 0.0, 1.0, 0.5]]))
    pixel = PHOTO[0, 0].astype(float)
    for column, unit, weight in ((0, 0.0, 1.0), (2, 0.5, 0.0), (4, 1.0, 1.0), (6, 0.75, 0.5)):
        np.testing.assert_allclose(drawn[0, column], by_hand(pixel, unit, weight, "coolwarm"), atol=2)
    assert drawn[0, 0, 2] > drawn[0, 0, 0], "negative is blue"
    assert drawn[0, 4, 0] > drawn[0, 4, 2], "positive is red"


@pytest.mark.parametrize("values", [np.zeros((2, 2)), np.full((2, 2), np.nan)])
def test_an_overlay_of_nothing_is_the_paled_photo(values: np.ndarray) -> None:
    np.testing.assert_allclose(
        overlay(PHOTO, values)[0, 0], by_hand(PHOTO[0, 0].astype(float), 0, 0, "inferno"), atol=1
    )


def test_nan_cells_are_drawn_as_nothing() -> None:
    drawn = overlay(PHOTO, np.array([[np.nan, 1.0]]))
    np.testing.assert_allclose(drawn[0, 0], by_hand(PHOTO[0, 0].astype(float), 0, 0, "inferno"), atol=1)
    np.testing.assert_allclose(drawn[0, 7], by_hand(PHOTO[0, 0].astype(float), 1, 1, "inferno"), atol=1)


def test_an_outline_dims_the_outside_keeps_the_inside_and_draws_the_edge() -> None:
    photo = np.full((40, 40, 3), (200, 100, 0), dtype=np.uint8)
    mask = np.zeros((4, 4), dtype=bool)
    mask[1:3, 1:3] = True
    drawn = outline(photo, mask)
    np.testing.assert_array_equal(drawn[20, 20], photo[0, 0])
    np.testing.assert_array_equal(drawn[0, 0], (0.45 * np.array([200, 100, 0]) + 10).astype(np.uint8))
    edge = (drawn == (255, 214, 10)).all(-1)
    assert edge.any()
    ys, xs = np.nonzero(edge)
    assert 8 <= ys.min() <= 10 <= 29 <= ys.max() <= 31
    assert (ys.min(), ys.max()) == (xs.min(), xs.max())
    assert (outline(photo, mask, colour=(0, 0, 255))[edge] == (0, 0, 255)).all()


def test_a_mask_of_all_or_nothing_has_no_edge() -> None:
    np.testing.assert_array_equal(outline(PHOTO, np.ones((2, 2), dtype=bool)), PHOTO)
    dimmed = outline(PHOTO, np.zeros((2, 2), dtype=bool))
    assert (dimmed == dimmed[0, 0]).all()
    assert dimmed.sum() < PHOTO.sum()


def test_components_become_colours_stretched_over_their_own_range() -> None:
    planes = np.stack([np.arange(100.0).reshape(10, 10), -np.arange(100.0).reshape(10, 10), np.full((10, 10), 7.0)])
    rgb = as_rgb(planes)
    low, high = np.percentile(np.arange(100.0), [2, 98])
    np.testing.assert_allclose(rgb[..., 0].ravel(), np.clip((np.arange(100) - low) / (high - low), 0, 1))
    np.testing.assert_allclose(rgb[..., 1], 1 - rgb[..., 0], atol=1e-12)
    assert not rgb[..., 2].any(), "a constant component has no colour"
    assert not as_rgb(planes[:1])[..., 1:].any()


def test_what_a_model_takes_becomes_the_photo() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    photo[0, 0], photo[1, 1] = 0, 255
    x = np.moveaxis(photo, 2, 0)
    for given in (photo, x, x[None], x / 255, (x[None] / 255 - 0.4) / 0.3, np.stack([x, x * 0])):
        np.testing.assert_array_equal(as_photo(given), photo)
    assert not as_photo(np.stack([x, x * 0]), 1).any()
    np.testing.assert_array_equal(as_photo(np.stack([x, x * 0])[:1], 1), photo)  # the only one serves all
    with pytest.raises(LayoutError, match=r"not 0\.\.1"):
        as_photo(photo * 1.0)  # an array [H, W, 3] is what it says


def test_photos_to_draw_on_are_bytes_or_shares() -> None:
    photo = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    assert as_bytes(photo) is photo
    np.testing.assert_array_equal(as_bytes(photo.astype(np.float32) / 255), photo)
    for wrong, told in ((photo.astype(np.float32), "not 0..1"), (photo[..., 0], r"got \[4, 5\]"), (photo[None], "got")):
        with pytest.raises(LayoutError, match=told):
            as_bytes(wrong)
