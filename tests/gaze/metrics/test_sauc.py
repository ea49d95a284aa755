from __future__ import annotations

import pytest
import torch

from regard.gaze.metrics import auc, sauc

from .tools import drawn


def test_every_pair_counted() -> None:
    heat, points, others, _ = drawn()
    a, b = (heat[p[:, 1].long(), p[:, 0].long()] for p in (points, others))
    slow = ((a[:, None] > b).double() + 0.5 * (a[:, None] == b)).mean()
    assert float(sauc(heat, points, others)) == pytest.approx(float(slow), abs=1e-12)


def test_a_shared_centre_gains_nothing_here_and_much_under_auc() -> None:
    g = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(60.0), torch.arange(80.0), indexing="ij")
    centre = torch.exp(-((x - 40) ** 2 + (y - 30) ** 2) / 200)
    points, others = ((torch.randn(500, 2, generator=g) * 9 + torch.tensor([40.0, 30.0])).clamp(1, 58) for _ in "ab")
    assert float(auc(centre, points)) > 0.85
    assert abs(float(sauc(centre, points, others)) - 0.5) < 0.04
