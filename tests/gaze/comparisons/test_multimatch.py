from __future__ import annotations

import numpy as np
import pytest
import torch

from regard.errors import DegenerateError, LayoutError
from regard.gaze.comparisons import multimatch
from regard.gaze.comparisons.multimatch import cheapest

from .tools import SIZE, drawn, walks


@pytest.mark.parametrize("seed", range(3))
def test_the_alignment_is_the_cheapest_of_all(seed: int) -> None:
    cost = torch.rand(4, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    every = [(sum(float(cost[c]) for c in way[1:]), way) for way in walks(4, 5)]
    assert [tuple(p) for p in cheapest(cost).tolist()] == min(every)[1]


def test_five_numbers_by_hand() -> None:
    """Paths of equally many saccades that align one to one."""
    one = torch.tensor([[0.0, 0.0, 0.1], [30.0, 0.0, 0.2], [30.0, 40.0, 0.4]], dtype=torch.float64)
    two = torch.tensor([[3.0, 4.0, 0.2], [33.0, 4.0, 0.2], [63.0, 44.0, 0.1]], dtype=torch.float64)
    got = multimatch(one, two, SIZE).to_dict()
    d, turn = 100.0, np.pi / 2 - np.arctan2(40, 30)
    want = {
        "shape": 1 - np.median([0, 30]) / (2 * d),
        "direction": 1 - np.median([0, turn]) / np.pi,
        "length": 1 - np.median([0, 10]) / d,
        "position": 1 - np.median([5, 5]) / d,
        "duration": 1 - np.median([0.5, 0]),
    }
    assert got == pytest.approx(want)


@pytest.mark.peers
def test_equals_multimatch_gaze() -> None:
    package = pytest.importorskip("multimatch_gaze")
    for seed in range(30):
        one, two = drawn(seed, 4 + seed % 5, 3 + seed % 7)
        fields = [("start_x", "f8"), ("start_y", "f8"), ("duration", "f8")]
        given = [np.array([tuple(row) for row in p.tolist()], dtype=fields) for p in (one, two)]
        want = package.docomparison(*given, screensize=[SIZE[1], SIZE[0]])
        assert np.allclose(multimatch(one, two, SIZE).values.numpy(), want, atol=1e-9), seed


def test_refusals() -> None:
    one, two = drawn()
    with pytest.raises(DegenerateError, match="2 fixations"):
        multimatch(one[:2], two, SIZE)
    with pytest.raises(LayoutError, match=r"size=\(0, 4\)"):
        multimatch(one, two, (0, 4))
