"""Pictures of patterns hold what they were given."""

from __future__ import annotations

import numpy as np

from regard.viz.patterns import plot_pattern


def test_grid_line_and_frames() -> None:
    seen = np.zeros(12, dtype=bool)
    seen[[1, 5]] = True
    grid = plot_pattern(seen, (3, 4), 5, "a$b")
    shown = np.asarray(grid.get_images()[0].get_array())
    assert shown.tolist() == [[0, 1, 0, 0], [0, 2, 0, 0], [0, 0, 0, 0]]
    assert grid.get_title() == "a$b"
    line = plot_pattern(seen, (12,), None, "")
    assert np.asarray(line.get_images()[0].get_array()).shape == (1, 12)
    frames = np.ma.filled(plot_pattern(seen, (2, 2, 3), None, "").get_images()[0].get_array(), np.nan)
    assert frames.shape == (2, 7)
    assert np.isnan(frames[:, 3]).all()
    assert frames[0, 1] == frames[1, 2] == 1
    assert grid.figure.axes
    again = plot_pattern(seen, (3, 4), None, "", ax=grid)
    assert again is grid
