from __future__ import annotations

import pytest
import torch

from regard.errors import MethodError
from regard.gaze.stimuli import asymmetry
from regard.gaze.stimuli.asymmetry import PAIRS


def cell(made, mask) -> torch.Tensor:
    """The only item of a one-item picture, its middle in the middle."""
    y, x = mask.nonzero().double().mean(0).round().long().tolist()
    return made.picture[:, y - 15 : y + 15, x - 15 : x + 15]


@pytest.mark.parametrize("pair", PAIRS)
def test_swapping_exchanges_target_and_distractor(pair: str) -> None:
    one, other = (asymmetry(pair, swap=swap, size=2, jitter=0.0, cells=3, seed=1) for swap in (False, True))
    assert one.box == other.box
    gap = (cell(one, one.target) - cell(other, other.target)).abs().max()
    assert gap > 0.3  # A is not B
    if pair != "tilt among mixed":
        assert (cell(one, one.target) - cell(other, other.distractors)).abs().max() < 0.3


def test_mixed_distractors_never_look_like_the_target() -> None:
    for swap in (False, True):
        made = asymmetry("tilt among mixed", swap=swap, size=25, jitter=0.0, seed=2)
        target = cell(made, made.target)
        left, top, *_ = made.box
        for y in range(0, 240, 48):
            for x in range(0, 240, 48):
                if (x, y) != (left, top):
                    other = made.picture[:, y + 9 : y + 39, x + 9 : x + 39]
                    assert (other - target).abs().max() > 0.3


def test_q_is_o_with_a_stroke() -> None:
    q, o = (asymmetry("Q", swap=swap, size=1, jitter=0.0, seed=0) for swap in (False, True))
    assert (o.target & ~q.target).sum() == 0
    assert 5 < (q.target & ~o.target).sum() < 0.3 * o.target.sum()


def test_an_unknown_pair_is_told_the_nearest() -> None:
    with pytest.raises(MethodError, match=r"(?s)no pair named 'letter'.*'letters'"):
        asymmetry("letter")
