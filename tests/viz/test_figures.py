"""Figures: the axes hold the arrays they were given, and say what these are."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from regard.errors import LayoutError
from regard.layout import Grid
from regard.results import Map, Parts, Score, Table
from regard.viz.colour import as_rgb, limits, outline, overlay
from regard.viz.figures import (
    atlas,
    plot_map,
    plot_parts,
    plot_score,
    plot_table,
    rgb_parts,
    scores,
    sheet,
)

VALUES = np.arange(12.0).reshape(1, 3, 4) - 4
PHOTO = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)


def a_map(**given: object) -> Map:
    return Map(**({"values": VALUES, "grid": Grid(3, 4), "method": "gradcam", "unit": "logit"} | given))  # type: ignore[arg-type]


def a_score(**given: object) -> Score:
    x = np.linspace(0, 1, 5)
    facts: dict[str, object] = {
        "value": 0.25, "metric": "deletion", "convention": "", "direction": "lower", "p": 0.05, "n": 19,
        "curve": np.stack([x, 1 - x]), "null_curves": np.random.default_rng(0).random((19, 5)),
    }  # fmt: skip
    return Score(**(facts | given))  # type: ignore[arg-type]


def a_table() -> Table:
    rows = (("blocks.0.attn", 1.0, 2.0), ("blocks.1.attn", 3.0, None))
    return Table(("site", "head 0", "head 1"), rows, {"head 0": "bits"}, "entropy")


def image(ax: Axes, at: int = 0) -> np.ndarray:
    return np.asarray(ax.images[at].get_array())


def test_a_map_is_drawn_in_its_own_values_with_their_limits() -> None:
    ax = plot_map(a_map(target="cup"), ax=None, over=None, index=0)
    low, high, colours = limits(VALUES[0])
    np.testing.assert_array_equal(image(ax), VALUES[0])
    assert ax.images[0].get_clim() == (low, high)
    assert ax.images[0].get_cmap().name == colours.name
    assert ax.get_title() == "gradcam: cup"
    assert "logit" in [a.get_ylabel() for a in ax.figure.axes]


def test_a_map_over_a_photo_is_the_overlay() -> None:
    mine = Figure().add_subplot()
    ax = plot_map(a_map(), ax=mine, over=PHOTO, index=0)
    assert ax is mine
    np.testing.assert_array_equal(image(ax), overlay(PHOTO, VALUES[0]))


def test_a_picture_goes_in_as_the_model_took_it() -> None:
    """`[B, 3, H, W]`, a tensor: the same figure as of that picture as a photo; scaled values are stretched."""
    photos = np.random.default_rng(0).integers(0, 256, (2, 8, 12, 3), dtype=np.uint8)
    photos[:, 0, 0], photos[:, 1, 1] = 0, 255
    x = torch.from_numpy(photos).permute(0, 3, 1, 2)
    result = Map(np.random.default_rng(1).random((2, 2, 3)), Grid(2, 3), "m")
    for index in (0, 1):
        wanted = image(result.plot(over=photos[index], index=index))
        scaled = (x.double() / 255 - 0.45) / 0.22
        for given in (x, x.numpy(), x / 255, x[index], scaled.requires_grad_()):
            np.testing.assert_array_equal(image(result.plot(over=given, index=index)), wanted)
    np.testing.assert_array_equal(image(result.plot(over=x[1:], index=0)), image(result.plot(over=photos[1], index=0)))


def test_a_picture_in_the_place_of_axes_is_refused_with_the_way() -> None:
    for result in (a_map(), a_score(), a_table()):
        with pytest.raises(LayoutError, match=r"draws on axes, got Tensor\n  try: a picture goes in as plot\(over=x\)"):
            result.plot(torch.zeros(1, 3, 4, 4))  # type: ignore[arg-type]


def test_parts_are_an_outline_colours_or_one_map() -> None:
    values = np.random.default_rng(0).normal(size=(1, 3, 3, 4))
    three = Parts(values, ("a", "b", "c"), Grid(3, 4), "pca")
    np.testing.assert_array_equal(image(plot_parts(three, ax=None, over=None, index=0)), as_rgb(values[0]))
    one = Parts(values[:, :1], ("a",), Grid(3, 4), "tokencut", mask=values[:, 0] > 0)
    np.testing.assert_array_equal(image(plot_parts(one, ax=None, over=None, index=0)), values[0, 0])
    drawn = plot_parts(one, ax=None, over=PHOTO, index=0)
    np.testing.assert_array_equal(image(drawn), outline(PHOTO, values[0, 0] > 0))
    np.testing.assert_array_equal(
        rgb_parts(three, (3, 4)), (as_rgb(values[0]).astype(np.float32) * 255).astype(np.uint8)
    )
    assert rgb_parts(three, (30, 40)).shape == (30, 40, 3)


def test_a_score_draws_its_curve_over_the_band_of_random_maps() -> None:
    score = a_score()
    ax = plot_score(score, ax=None)
    middle, mine = ax.lines
    assert score.curve is not None
    np.testing.assert_array_equal(mine.get_xydata(), score.curve.T)
    np.testing.assert_allclose(middle.get_ydata(), np.median(score.null_curves, axis=0))
    band = ax.collections[0].get_paths()[0].vertices
    low, high = np.percentile(score.null_curves, [2.5, 97.5], axis=0)
    for x, a, b in zip(score.curve[0], low, high, strict=True):
        ys = band[np.isclose(band[:, 0], x), 1]
        assert (ys.min(), ys.max()) == pytest.approx((a, b))
    assert ax.get_title() == "deletion 0.250 (lower is better), p = 0.05"
    assert ax.get_xlabel() == "share of cells removed"
    assert plot_score(a_score(metric="insertion", direction="higher"), ax=None).get_xlabel() == "share of cells shown"


def test_a_score_without_null_or_curve_is_drawn_all_the_same() -> None:
    assert len(plot_score(a_score(null_curves=None), ax=None).lines) == 1
    bare = plot_score(a_score(curve=None, p=None), ax=None)
    assert not bare.lines
    assert bare.get_title() == "deletion 0.250 (lower is better)"


def test_a_table_is_a_heat_map_with_its_rows_and_heads_named() -> None:
    ax = plot_table(a_table(), ax=None)
    np.testing.assert_array_equal(np.ma.filled(image(ax), np.nan), [[1.0, 2.0], [3.0, np.nan]])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "1"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["blocks.0.attn", "blocks.1.attn"]
    assert "bits" in [a.get_ylabel() for a in ax.figure.axes]


def test_a_sheet_has_a_panel_for_each_picture_and_no_empty_column() -> None:
    panels = [(f"picture {i}", PHOTO) for i in range(5)]
    figure = sheet(panels, columns=3, title="all")
    assert [a.get_title() for a in figure.axes] == [c for c, _ in panels]
    assert all(np.array_equal(image(a), PHOTO) for a in figure.axes)
    assert figure.axes[0].get_gridspec().get_geometry() == (2, 3)
    assert sheet(panels[:2], columns=4).axes[0].get_gridspec().get_geometry() == (1, 2)


@pytest.mark.parametrize("name", ["cost $5 and $6", r"$\frac{$ {0} ^_ %s", "<b>&amp;"])
def test_names_are_text_not_formulas(name: str) -> None:
    figure = sheet([(name, PHOTO)], columns=1, title=name)
    figure.savefig(io.BytesIO(), format="png")
    assert figure.axes[0].get_title() == name
    plot_map(a_map(target=name), ax=None, over=None, index=0).figure.savefig(io.BytesIO(), format="png")


def test_atlas_and_scores_stand_side_by_side() -> None:
    assert [a.get_title() for a in atlas([a_table(), a_table()]).axes if a.images] == ["entropy", "entropy"]
    drawn = scores([a_score(), a_score(metric="insertion")])
    assert [a.get_title().split()[0] for a in drawn.axes] == ["deletion", "insertion"]


def test_a_score_without_a_curve_is_drawn_among_random_maps() -> None:
    null = np.linspace(-0.5, 0.5, 21)
    score = Score(0.7, "saco", "told", "higher", null=null, n=21, p=1 / 22)
    ax = score.plot()
    assert sum(bar.get_height() for bar in ax.patches) == 21
    assert list(ax.lines[0].get_xdata()) == [0.7, 0.7]
