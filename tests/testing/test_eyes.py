"""Eyes made of pictures: they look at the red patch."""

from __future__ import annotations

import torch

from regard.registry import FAMILIES
from regard.testing.eyes import eyes, paths, photo
from regard.testing.planted import planted_pictures


def test_a_photo_is_in_its_range_and_red_where_it_was() -> None:
    made = photo(planted_pictures([(2, 5)]))
    assert 0 <= made.min() < made.max() <= 1
    assert made[0, 0, 8:12, 20:24].mean() > 0.75 > made[0, 1, 8:12, 20:24].mean() + 0.2


def test_people_look_at_the_reddest_cell_first() -> None:
    made = eyes(planted_pictures([(2, 5)]))
    assert set(made) == FAMILIES["gaze.metrics"].subjects
    assert made["points"][0].tolist() == [5.5, 2.5]
    for name in ("heatmap", "truth", "baseline"):
        assert abs(float(made[name].sum()) - 1) < 1e-5
    assert made["heatmap"].argmax() == made["truth"].argmax() == 2 * 8 + 5
    other = eyes(planted_pictures([(2, 5)]), torch.eye(8)[None])
    assert other["heatmap"][0, 0] > other["heatmap"][0, 1]


def test_paths_begin_at_the_red_patch() -> None:
    made = paths(planted_pictures([(2, 5), (6, 1)]))
    assert set(made) == FAMILIES["gaze.comparisons"].subjects
    for name, (row, column) in (("path", (2, 5)), ("other", (6, 1))):
        assert (made[name][0, :2] // 4).tolist() in (
            [column, row],
            [column + 1, row],
            [column, row + 1],
            [column + 1, row + 1],
        )
        assert 0.2 < float(made[name][:, 2].min()) < 0.31
    assert len(made["path"]) != len(made["other"])
    assert not torch.equal(*(t[:6] for t in (made["path"], paths(planted_pictures([(2, 5)]))["other"])))
