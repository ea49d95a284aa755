from __future__ import annotations

import math

import pytest
import torch

from regard.errors import LayoutError
from regard.gaze.stimuli._canvas import Item, array, bar, both, disc, draw, ring, wedge, without


def covered(shape, turned: float = 0.0) -> torch.Tensor:
    return draw(torch.zeros(3, 200, 200), Item(shape, (1.0, 1.0, 1.0), turned))


def share(mask: torch.Tensor) -> float:
    return float(mask.float().mean()) * 4  # the canvas is 2 x 2 units


def test_areas_of_shapes() -> None:
    assert share(covered(disc(0.5))) == pytest.approx(math.pi / 4, rel=0.01)
    assert share(covered(ring(0.5, 0.2))) == pytest.approx(math.pi * 0.2, rel=0.02)
    assert share(covered(bar(1.0, 0.2), 33.0)) == pytest.approx(0.2, rel=0.03)
    assert share(covered(both(bar(1.0, 0.2), bar(1.0, 0.2, turned=90.0)))) == pytest.approx(0.36, rel=0.03)
    for half in (30.0, 90.0, 120.0):
        cut = without(disc(0.5), wedge(half))
        assert share(covered(cut)) == pytest.approx(math.pi / 4 * (1 - half / 180), rel=0.02)


def test_turning_is_clockwise_and_shading_is_painted() -> None:
    mark = covered(bar(0.8, 0.2, cx=0.6), 90.0)  # to the right, then down
    assert mark[160, 100]
    assert not mark[100, 160]
    canvas = torch.zeros(3, 100, 100)
    draw(canvas, Item(disc(0.8), shading=lambda x, y: 0.5 + 0.5 * y))
    assert canvas[0, 80, 50] > 0.7
    assert canvas[0, 20, 50] < 0.3


@pytest.mark.parametrize("size", [1, 9, 25])
def test_arrays_hold_what_was_asked(size: int) -> None:
    from scipy import ndimage

    item = Item(disc(0.4))
    made = array(item, [item], cells=5, size=size, side=24, jitter=0.2, seed=3)
    assert ndimage.label(made.distractors.numpy())[1] == size - 1
    left, top, right, bottom = made.box
    assert made.target[top:bottom, left:right].sum() == made.target.sum() > 0
    assert 24 <= left <= 72
    assert not (made.target & made.distractors).any()
    again, other = (array(item, [item], cells=5, size=size, side=24, jitter=0.2, seed=s) for s in (3, 4))
    assert torch.equal(made.picture, again.picture)
    assert not torch.equal(made.picture, other.picture)
    absent = array(None, [item], cells=5, size=size, side=24, jitter=0.2, seed=3)
    assert absent.box is None
    assert not absent.target.any()
    assert ndimage.label(absent.distractors.numpy())[1] == size


def test_refusals() -> None:
    item = Item(disc(0.4))
    for wrong in ({"size": 26}, {"side": 7}, {"jitter": 0.3}):
        with pytest.raises(LayoutError, match="5 x 5 cells"):
            array(item, [item], **({"cells": 5, "size": 9, "side": 24, "jitter": 0.1, "seed": 0} | wrong))


def test_one_line_tells_kind_size_and_target() -> None:
    from regard.gaze.stimuli import kanizsa, singleton

    told = repr(singleton("orientation", seed=3))
    assert told == "Stimulus(orientation singleton of 49, 280 x 280, target in (80, 120, 120, 160))"
    assert repr(kanizsa(broken=True)) == "Stimulus(broken figure of 4 corners, 240 x 240, no target)"
    assert "target of " in repr(kanizsa())
