"""Groups of heads: traits by hand on patterns that are known, a tree that finds planted kinds, honest names."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from regard.errors import LayoutError
from regard.layout import Grid
from regard.looking.groups import TRAITS, features, group, name, offset_map, offsets

GRID = Grid(6, 8, prefix=1)


def uniform() -> np.ndarray:
    return np.full((48, 48), 1 / 48)


def itself() -> np.ndarray:
    return np.eye(48)


def to_the_right(steps: int = 2) -> np.ndarray:
    """Each patch looks `steps` to its right, and at the edge at itself."""
    found = np.zeros((48, 48))
    for y in range(6):
        for x in range(8):
            found[y * 8 + x, y * 8 + (x + steps if x + steps < 8 else x)] = 1
    return found


def one_place() -> np.ndarray:
    found = np.zeros((48, 48))
    found[:, 13] = 1
    return found


def traits(p: np.ndarray, grid: Grid = GRID, cell: int = 1) -> dict[str, float]:
    return dict(zip(TRAITS, features(p[None, None], grid, cell)[0, 0], strict=True))


def test_traits_of_known_patterns() -> None:
    own = traits(itself())
    assert (own["within 1.5"], own["sharp"], own["sideways"]) == (1, 1, 0.5)
    assert own["alike"] == pytest.approx(1 / 48)
    every = traits(uniform())
    assert every["alike"] == pytest.approx(1)
    assert every["sharp"] == pytest.approx(0, abs=1e-9)
    assert (every["to the right"], every["downwards"]) == (pytest.approx(0.5), pytest.approx(0.5))
    right = traits(to_the_right())
    assert (right["sideways"], right["to the right"], right["1.5 to 3"]) == (1, 1, pytest.approx(0.75))
    assert traits(one_place())["alike"] == 1
    assert traits(0.25 * uniform())["off the picture"] == pytest.approx(0.75)
    assert traits(0.25 * uniform())["alike"] == pytest.approx(1), "what lands on the picture is what is described"


def test_shares_by_distance_are_those_of_a_loop() -> None:
    p = np.random.default_rng(0).dirichlet(np.full(48, 0.3), 48)
    found, edges = traits(p), (0, 1.5, 3, 6, 12, 99)
    for low, high, trait in zip(edges, edges[1:], TRAITS[1:6], strict=False):
        total = sum(
            p[i, j] for i in range(48) for j in range(48) if low <= np.hypot(i // 8 - j // 8, i % 8 - j % 8) < high
        )
        assert found[trait] == pytest.approx(total / 48)
    assert sum(found[t] for t in TRAITS[1:6]) == pytest.approx(1)
    across = sum(p[i, j] * abs(i % 8 - j % 8) for i in range(48) for j in range(48))
    down = sum(p[i, j] * abs(i // 8 - j // 8) for i in range(48) for j in range(48))
    assert found["sideways"] == pytest.approx(across / (across + down))


def test_offsets_are_from_the_middle_of_a_cell() -> None:
    dx, dy = offsets(Grid(5, 7), 2)
    assert dx.shape == (12, 35)
    assert (dx[0, 0], dy[0, 0]) == (-0.5, -0.5)
    assert (dx[3, 6], dy[3, 6]) == (0, -0.5), "the last column stands alone in its cells"
    assert (dx[11, 34], dy[11, 34]) == (0, 0)


@pytest.mark.parametrize("cell", [1, 2])
def test_the_offset_map_shows_the_offset(cell: int) -> None:
    fine = to_the_right(2)
    cells = GRID.cells(cell).numpy()
    pooled = np.stack([fine[cells == c].mean(0) for c in range(cells.max() + 1)])
    found = offset_map(pooled, GRID, cell, reach=3)
    assert found.shape == (7, 7)
    if cell == 1:
        assert found[3, 5] == pytest.approx(1), "wherever a patch two to the right exists, all look there"
        assert found[3, 3] == pytest.approx(12 / 48)
        assert np.count_nonzero(found) == 2
    else:
        assert np.unravel_index(found.argmax(), found.shape)[1] >= 4
        assert found[3, 4:].sum() > 2 * found[3, :3].sum()
    assert offset_map(np.full((len(pooled), 48), 0.1), GRID, cell, reach=3) == pytest.approx(0.1), "no holes"


def test_planted_kinds_are_found_and_ordered_by_layer() -> None:
    noise = np.random.default_rng(0)
    kinds = [to_the_right, one_place, itself]
    heads = [[0, 0, 1], [0, 1, 1], [2, 2, 2]]
    pooled = np.stack([[0.9 * kinds[k]() + 0.1 * noise.dirichlet(np.ones(48), 48) for k in row] for row in heads])
    found = group(features(pooled, GRID, 1), ["a", "b", "c"], 3, ["photo"])
    assert found.labels.tolist() == heads
    assert found.cophenetic > 0.9
    assert "looks along rows" in found.names[0] or "looks to the right" in found.names[0]
    assert "same patches" in found.names[1]
    assert "own place" in found.names[2]
    assert all(found.labels[m] == g for g, m in enumerate(found.medoids))


def test_a_medoid_is_nearest_to_the_others() -> None:
    flat = np.zeros((1, 4, len(TRAITS)))
    flat[0, :, 0] = [0.0, 0.4, 0.5, 1.0]
    assert group(flat, ["a"], 1).medoids == ((0, 1),)


def test_one_head_and_equal_heads() -> None:
    assert group(np.zeros((1, 1, len(TRAITS))), ["a"], 1).labels.tolist() == [[0]]
    same = group(np.full((2, 2, len(TRAITS)), 0.5), ["a", "b"], 3)
    assert set(same.names) == {"like the average head"}
    assert same.cophenetic == 1.0


@pytest.mark.parametrize("count", [0, 5])
def test_more_groups_than_heads_are_refused(count: int) -> None:
    with pytest.raises(LayoutError, match=f"4 heads in {count} groups"):
        group(np.zeros((2, 2, len(TRAITS))), ["a", "b"], count)


def test_names_tell_what_stands_out_and_leave_out_what_says_nothing() -> None:
    flat = np.zeros((10, len(TRAITS)))
    flat[:4, TRAITS.index("to the right")] = 1
    flat[:, TRAITS.index("beyond 12")] = 0.5
    members = np.arange(10) < 4
    assert name(flat, members) == "looks to the right"
    assert name(flat, ~members) == "looks to the left"
    flat[:4, TRAITS.index("downwards")] = -0.9
    assert name(flat, members) in ("looks to the right, up", "looks up, to the right")
    flat[:, :] = torch.rand(1, len(TRAITS), generator=torch.Generator().manual_seed(0)).numpy()
    assert name(flat, members) == "like the average head"
