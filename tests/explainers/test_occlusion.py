from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

import regard as rg

from .games import cells_of
from .models import Linear, draw, explained


@pytest.mark.parametrize("baseline", ["black", "mean", "blur", "white"])
def test_a_linear_score_loses_its_weights_times_what_is_taken(baseline: str) -> None:
    from regard.subjects.baseline import baseline_picture

    model, x = Linear((3, 6, 9)), draw(2, 3, 6, 9, seed=4)
    made = explained(model, x, "occlusion", cells=2, baseline=baseline)
    lost = (model.weight[1] * (x - baseline_picture(x, baseline))).sum(1, keepdim=True).detach()
    wanted = F.avg_pool2d(lost, 3, divisor_override=1)[:, 0]
    torch.testing.assert_close(torch.from_numpy(made.values), wanted)
    assert made.grid == rg.Grid(2, 3)
    assert made.forwards == 2 * (1 + 6)


def test_cells_of_odd_sizes_partition_the_picture() -> None:
    model, x = Linear((3, 7, 11)), draw(1, 3, 7, 11, seed=4)
    made = explained(model, x, "occlusion", cells=3, baseline="black")
    torch.testing.assert_close(cells_of(made).sum(1), (model.weight[1] * x).sum((1, 2, 3)).detach())
