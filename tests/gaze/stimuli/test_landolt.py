from __future__ import annotations

import torch

from regard.gaze.stimuli import landolt


def test_rings_are_one_ring_turned() -> None:
    made = landolt(opening=90.0, others=0.0, size=1, cells=1, side=96, seed=0)
    turned = landolt(opening=0.0, others=90.0, size=1, cells=1, side=96, seed=0)
    y, x = (int(v) for v in made.target.nonzero().double().mean(0))
    assert made.target.sum() == turned.target.sum() or abs(int(made.target.sum()) - int(turned.target.sum())) < 12
    assert not torch.equal(made.target, turned.target)
    assert not made.target[y:, x].any()  # open below: y grows downwards
    assert made.target[:y, x].any()
    assert landolt(gap=80.0, size=1, cells=1).target.sum() < landolt(gap=20.0, size=1, cells=1).target.sum()
