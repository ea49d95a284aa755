from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import LayoutError
from regard.subjects.cells import grid_cells, segment_cells


def test_cells_of_a_grid_follow_the_pictures_shape() -> None:
    cells = grid_cells(torch.zeros(2, 3, 8, 13), 4)
    assert (cells.grid, cells.count, cells.present) == (rg.Grid(4, 6), 24, (24, 24))
    rows = torch.arange(8) * 4 // 8
    columns = torch.arange(13) * 6 // 13
    assert torch.equal(cells.labels[0], rows[:, None] * 6 + columns)
    tall = grid_cells(torch.zeros(1, 3, 20, 10), 5)
    assert tall.grid == rg.Grid(10, 5)
    values = torch.arange(24.0).repeat(2, 1)
    assert torch.equal(cells.to_map(values)[1].flatten(), torch.arange(24.0))


def test_segments_follow_colours_and_are_numbered_without_gaps() -> None:
    x = torch.zeros(2, 3, 16, 16)
    x[0, 0, :, 8:] = 1
    x[1, 1, 8:] = 1
    cells = segment_cells(x, 2)
    assert cells.grid is None
    assert cells.on == rg.Grid(16, 16)
    for picture, count in zip(cells.labels, cells.present, strict=True):
        assert picture.unique().tolist() == list(range(count))
    assert len(cells.labels[0][:, 8:].unique()) == len(cells.labels[0][:, :8].unique()) == 1
    values = torch.arange(float(cells.count)).repeat(2, 1)
    assert torch.equal(cells.to_map(values), cells.labels.float())


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: grid_cells(torch.zeros(1, 3, 8, 8), 9), "9 cells along 8 pixels"),
        (lambda: grid_cells(torch.zeros(1, 3, 8), 2), "has no cells"),
        (lambda: segment_cells(torch.zeros(1, 3, 8, 8), 1), "1 segments"),
    ],
)
def test_what_cannot_be_cut_is_refused(make: object, text: str) -> None:
    with pytest.raises(LayoutError, match=text):
        make()  # type: ignore[operator]
