from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.patterns._axis import Axis, meet, minus, pairs, steps

from .pairs import support


def an_axis(generator: torch.Generator, queries: int, keys: int, dilation: int = 1) -> Axis:
    lo, hi = [0] * queries, [0] * queries
    for r in range(dilation):
        mine = range(r, queries, dilation)
        ends = torch.randint(0, steps(keys, dilation, r) + 1, (2, len(mine)), generator=generator).sort(-1).values
        for at, (a, b) in zip(mine, zip(*ends.sort(0).values.tolist(), strict=True), strict=True):
            lo[at], hi[at] = a, b
    return Axis(keys, tuple(lo), tuple(hi), dilation)


def test_steps() -> None:
    for length in range(8):
        for d in range(1, 5):
            assert [steps(length, d, r) for r in range(d)] == [len(range(r, length, d)) for r in range(d)]


@pytest.mark.parametrize("dilation", [1, 3])
def test_algebra_of_random_boxes(dilation: int, generator: torch.Generator) -> None:
    for _ in range(25):
        one, other = (
            (an_axis(generator, 6, 6, dilation), an_axis(generator, 5, 5), an_axis(generator, 2, 2)) for _ in range(2)
        )
        a, b = support(one).bool(), support(other).bool()
        met, left = meet(one, other), minus(one, other)
        assert met is not None
        assert left is not None
        assert support(met).bool().equal(a & b)
        told = sum((support(box) for box in left), torch.zeros(a.shape))
        assert told.equal((a & ~b).float())  # each pair once
        assert pairs(one) == int(a.sum())


def test_dilated_and_plain_axes_meet() -> None:
    both = rg.patterns.neighborhood(11, 3, dilation=3) & rg.patterns.sliding(11, 4, 2)
    assert both.boxes is not None
    assert support(both.boxes[0]).bool().equal(both.mask())
    assert (rg.patterns.neighborhood(11, 3, dilation=3) & rg.patterns.neighborhood(11, 3, dilation=2)).boxes is None
    assert (rg.patterns.neighborhood(11, 3, dilation=3) | rg.patterns.sliding(11, 4, 2)).boxes is None


def test_residues_that_are_alike_form_a_class() -> None:
    (axis,) = rg.patterns.neighborhood(11, 2, dilation=4).boxes[0]  # type: ignore[index]
    assert axis.classes == (range(3), range(3, 4))


def test_intervals_that_go_back_are_our_own_fault() -> None:
    with pytest.raises(AssertionError, match="one way"):
        Axis(4, (1, 0), (2, 2))
