"""Tables of fixations: units, order, people and pictures kept apart; bad data with its stated outcome."""

from __future__ import annotations

import numpy as np
import pytest

from regard.errors import DataError, DegenerateError, LayoutError
from regard.gaze.data import Fixations, Scanpath, same, together

XY = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0], [-1.0, 3.0], [np.nan, np.nan]]


@pytest.fixture
def table() -> Fixations:
    who, where = ["ann", "bob", "ann", "bob", "ann", "bob"], ["a", "a", "a", "b", "b", "b"]
    return Fixations(XY, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], who, where, size=(9, 8), per_degree=2.0)


def test_people_and_pictures_are_kept_apart(table: Fixations) -> None:
    assert (table.images, table.observers, len(table)) == (["a", "b"], ["ann", "bob"], 6)
    assert table.on("a").by("ann").xy.tolist() == [[1.0, 2.0], [5.0, 6.0]]
    assert repr(table) == "Fixations(6 of 2 observers on 2 pictures, 2 px a degree)"


def test_degrees_are_pixels_over_the_scale_and_nothing_else(table: Fixations) -> None:
    assert np.array_equal(table.degrees(), np.array(XY) / 2, equal_nan=True)
    with pytest.raises(LayoutError, match="pixels of a degree are not known"):
        Fixations(XY).degrees()


def test_outside_and_nan_are_dropped_only_when_asked(table: Fixations) -> None:
    assert np.isnan(table.xy).any()
    assert table.inside().xy.tolist() == XY[:4]
    edge = Fixations([[8.0, 0.0], [0.0, 9.0], [7.99, 8.99]], size=(9, 8))
    assert len(edge.inside()) == 1
    with pytest.raises(LayoutError, match="size of the pictures is not known"):
        Fixations(XY).inside()


def test_the_first_of_each_viewing(table: Fixations) -> None:
    assert table.without_first().xy.tolist()[0] == [5.0, 6.0]
    assert len(table.without_first()) == 2


def test_paths_and_back(table: Fixations) -> None:
    paths = table.paths()
    assert [(p.image, p.observer, len(p)) for p in paths] == [
        ("a", "ann", 2), ("a", "bob", 1), ("b", "bob", 2), ("b", "ann", 1)
    ]  # fmt: skip
    assert paths[0].duration.tolist() == [0.1, 0.3]
    again = together(paths)
    assert same(together(again.paths()), again)
    assert not same(table, again)  # the rows stand in another order
    assert not same(table, Fixations(XY))
    with pytest.raises(LayoutError, match="of 2 sizes or scales"):
        together([*paths, Scanpath([[1.0, 1.0]], [0.1])])
    with pytest.raises(DegenerateError, match="no scanpath"):
        together([])


def test_one_and_none() -> None:
    assert len(Fixations([[1.0, 1.0]]).paths()[0]) == 1
    empty = Fixations([])
    assert (len(empty), empty.paths(), empty.images) == (0, (), [])


def test_refusals(table: Fixations) -> None:
    with pytest.raises(LayoutError, match=r"half of the durations are over 30 s.*\n.*milliseconds"):
        Fixations(XY, np.full(6, 190.0))
    with pytest.raises(LayoutError, match="a duration of -1 s"):
        Fixations(XY, np.full(6, -1.0))
    with pytest.raises(LayoutError, match="2 durations for 6 fixations"):
        Fixations(XY, [0.1, 0.2])
    with pytest.raises(LayoutError, match=r"\[n, 2\] \(x, y\) in pixels, got \[2, 3\]"):
        Fixations(np.zeros((2, 3)))
    with pytest.raises(LayoutError, match="1 names of observers for 6"):
        Fixations(XY, observer=["ann"])
    with pytest.raises(LayoutError, match=r"size=\(0, 3\)"):
        Fixations(XY, size=(0, 3))
    with pytest.raises(LayoutError, match="per_degree=0"):
        Fixations(XY, per_degree=0.0)
    with pytest.raises(DataError, match="nobody looked at 'c'"):
        table.on("c")
    with pytest.raises(DataError, match="no observer 'eve'"):
        table.by("eve")
