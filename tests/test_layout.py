"""`Grid` by hand and against naive loops."""

from __future__ import annotations

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
import torch

from regard.errors import LayoutError
from regard.layout import Grid

GRIDS = [Grid(1, 1), Grid(1, 5), Grid(4, 1, prefix=2), Grid(3, 5, prefix=1), Grid(6, 4, prefix=5)]


def test_counts_by_hand() -> None:
    grid = Grid(3, 5, prefix=4)
    assert (grid.patches, grid.tokens, str(grid)) == (15, 19, "3x5+4")
    assert str(Grid(14, 14)) == "14x14"
    assert Grid(3, 5) == Grid(3, 5, 0) != Grid(5, 3)
    assert len({Grid(3, 5), Grid(3, 5, prefix=0)}) == 1


@pytest.mark.parametrize(("h", "w", "prefix"), [(0, 3, 0), (3, 0, 0), (-1, 3, 0), (2, 2, -1)])
def test_impossible_grids_are_refused(h: int, w: int, prefix: int) -> None:
    text = f"a grid needs h, w >= 1 and prefix >= 0; got {h} x {w}, prefix {prefix}"
    with pytest.raises(LayoutError) as caught:
        Grid(h, w, prefix)
    assert caught.value.message == text
    assert caught.value.hint == "Grid(h=14, w=14, prefix=1) for 197 tokens"


def test_a_grid_counts_in_whole_numbers() -> None:
    with pytest.raises(LayoutError, match=r"whole numbers; w is 3\.0"):
        Grid(2, 3.0)  # type: ignore[arg-type]
    grid = Grid(np.int64(2), np.int32(3), prefix=np.int8(1))  # type: ignore[arg-type]
    assert json.dumps(asdict(grid)) == '{"h": 2, "w": 3, "prefix": 1}'


def test_to_map_lays_rows_out_and_drops_the_prefix() -> None:
    grid = Grid(2, 3, prefix=2)
    row = torch.tensor([90.0, 91, 0, 1, 2, 10, 11, 12])
    assert torch.equal(grid.to_map(row), torch.tensor([[0.0, 1, 2], [10, 11, 12]]))
    assert grid.to_map(row.expand(4, 5, 8)).shape == (4, 5, 2, 3)


@pytest.mark.parametrize("n", [5, 7, 9])
def test_to_map_refuses_another_number_of_tokens(n: int) -> None:
    with pytest.raises(LayoutError) as caught:
        Grid(2, 3, prefix=2).to_map(torch.zeros(n))
    assert caught.value.message == f"a row of values has {n} tokens, but grid 2x3+2 has 8"
    assert caught.value.hint == f"a Grid(h, w, prefix) with prefix + h*w = {n}"


def test_check_tokens_is_silent_when_they_fit() -> None:
    Grid(2, 3, prefix=2).check_tokens(8, "rows")


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_centres_are_x_then_y_row_by_row(grid: Grid) -> None:
    naive = [(float(x), float(y)) for y in range(grid.h) for x in range(grid.w)]
    assert grid.centres().tolist() == [list(c) for c in naive]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_distances_against_loops(grid: Grid) -> None:
    got = grid.distances()
    assert got.shape == (grid.patches, grid.patches)
    for i in range(grid.patches):
        for j in range(grid.patches):
            (yi, xi), (yj, xj) = divmod(i, grid.w), divmod(j, grid.w)
            assert float(got[i, j]) == pytest.approx(math.hypot(xi - xj, yi - yj), abs=1e-6)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("size", [1, 2, 3, 9])
def test_cells_against_loops(grid: Grid, size: int) -> None:
    across = math.ceil(grid.w / size)
    naive = [(y // size) * across + x // size for y in range(grid.h) for x in range(grid.w)]
    assert grid.cells(size).tolist() == naive
    assert sorted(set(naive)) == list(range(across * math.ceil(grid.h / size)))


@pytest.mark.parametrize("size", [0, -2])
def test_cells_of_no_size_are_refused(size: int) -> None:
    with pytest.raises(LayoutError, match="cells of") as caught:
        Grid(2, 3).cells(size)
    assert caught.value.hint == "a size of at least 1"


@pytest.mark.parametrize(
    ("grid", "mean"),
    [
        (Grid(1, 1), 0.0),
        (Grid(1, 2), 1 / 2),
        (Grid(2, 2), (2 + math.sqrt(2)) / 4),  # each: one at 0, two at 1, one at sqrt 2
        (Grid(1, 7), (7**2 - 1) / (3 * 7)),  # a line of n: (n^2 - 1) / 3n
        (Grid(9, 1, prefix=3), (9**2 - 1) / (3 * 9)),
    ],
    ids=str,
)
def test_uniform_distance_closed_form(grid: Grid, mean: float) -> None:
    assert grid.uniform_distance() == pytest.approx(mean, rel=1e-6)


def test_uniform_distance_of_a_large_square_is_that_of_the_unit_square() -> None:
    unit = (2 + math.sqrt(2) + 5 * math.log(1 + math.sqrt(2))) / 15
    assert Grid(40, 40).uniform_distance() / 40 == pytest.approx(unit, rel=2e-3)
