"""Figures of heads: the axes hold the numbers they were given, and outline the right cells."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from regard.viz.heads import KEY, QUERY, colour_of

from ..test_atlas import atlas, groups, joint


def test_an_atlas_is_its_values_with_the_extremes_outlined() -> None:
    ax = Figure().add_subplot()
    assert atlas().plot(ax) is ax
    drawn = ax.images[0].get_array()
    assert drawn is not None
    np.testing.assert_array_equal(np.ma.filled(drawn, np.nan), atlas().values)
    boxes = [p.get_xy() for p in ax.patches if isinstance(p, Rectangle)]
    assert boxes == [(0.5, -0.5), (-0.5, 0.5)]
    assert ax.get_title() == "entropy, mean of 2 pictures"
    assert [t.get_text() for t in ax.get_yticklabels()] == list(atlas().addresses)
    assert atlas(pictures=("a",)).plot().get_title() == "entropy"


def test_a_plane_is_its_points_in_two_colours_with_prefix_tokens_ringed() -> None:
    ax = joint().plot()
    queries, ringed_queries, keys, _ = ax.collections
    np.testing.assert_array_equal(np.asarray(queries.get_offsets()), joint().points[:2])
    np.testing.assert_array_equal(np.asarray(keys.get_offsets()), joint().points[2:])
    np.testing.assert_array_equal(np.asarray(ringed_queries.get_offsets()), joint().points[:1])
    assert tuple(queries.get_facecolors()[0][:3]) == to_rgba(QUERY)[:3]  # type: ignore[index]
    assert tuple(keys.get_facecolors()[0][:3]) == to_rgba(KEY)[:3]  # type: ignore[index]
    assert ax.get_title() == "blocks.3.attn head 2: 43 % of the variance"


def test_groups_are_told_by_colour_and_number() -> None:
    ax = groups().plot()
    drawn = np.asarray(ax.images[0].get_array())
    assert [[to_hex(c) for c in row] for row in drawn] == [[colour_of(int(g)) for g in row] for row in groups().labels]
    assert [t.get_text() for t in ax.texts] == ["0", "1", "1", "1"]
    assert ax.get_title(loc="left") == "0: looks far\n1: looks up"


def test_ten_groups_have_ten_colours() -> None:
    assert len({colour_of(g) for g in range(10)}) == 10
    assert colour_of(10) == colour_of(0)
