"""Contours enclose the share that they tell; a path stands where it was."""

from __future__ import annotations

import numpy as np
import pytest

import regard as rg
from regard.viz.gaze import plot_gaze, plot_scanpath

PHOTO = np.zeros((60, 80, 3), dtype=np.uint8)


def test_contours_enclose_their_share() -> None:
    y, x = np.mgrid[:60, :80]
    heat = rg.Map(np.exp(-((x - 40) ** 2 + (y - 30) ** 2) / 300)[None], rg.Grid(60, 80), "blob")
    ax = plot_gaze(heat, PHOTO)
    drawn = ax.collections[0]
    for share, level, path in zip((20, 10, 5), drawn.levels, drawn.get_paths(), strict=True):
        assert 100 * (heat.values > level).mean() == pytest.approx(share, abs=0.5)
        inside = path.contains_points(np.stack([x.ravel(), y.ravel()], 1))
        assert 100 * inside.mean() == pytest.approx(share, abs=1.0)
    legend = ax.get_legend()
    assert legend is not None
    assert [t.get_text() for t in legend.get_texts()] == ["5 %", "10 %", "20 %"]
    told = [line.get_linewidth() for line in legend.get_lines()]
    assert told == sorted(told, reverse=True)
    assert told[::-1] == drawn.get_linewidths().tolist()
    assert ax.get_title() == "blob: highest 5 %, 10 %, 20 % of the picture"


def test_a_flat_map_has_none() -> None:
    assert not plot_gaze(rg.Map(np.ones((1, 6, 8)), rg.Grid(6, 8), "flat"), PHOTO).collections


def test_a_path_stands_where_it_was() -> None:
    xy = np.array([[10.0, 20.0], [30.0, 40.0], [70.0, 5.0]])
    ax = plot_scanpath(xy, PHOTO, seconds=np.array([0.1, 0.2, 0.3]))
    assert np.array_equal(np.asarray(ax.lines[0].get_xydata()), xy)
    assert [t.get_text() for t in ax.texts] == ["1", "2", "3"]
    sizes = ax.collections[0].get_sizes()
    assert np.allclose(sizes / sizes[0], [1, 2, 3])
    assert plot_scanpath(xy, PHOTO, ax=ax, seconds=np.array([0.1, np.nan, 0.3])) is ax
