from __future__ import annotations

import torch
from torch import Tensor

import regard as rg

from .tools import agree, drawn, refuses

anchor = rg.operators.anchor


def by_norms(x: Tensor) -> Tensor:
    rolled = []
    for picture in x:
        norms = {(a, b): float(picture.detach()[:, a::3, b::3].norm()) for a in range(3) for b in range(3)}
        a, b = max(norms, key=lambda phase: norms[phase])
        rolled.append(picture.roll((-a, -b), (1, 2)))
    return torch.stack(rolled)


def test_equals_rolling_by_the_strongest_phase() -> None:
    agree(lambda x: anchor(x, stride=3), by_norms, drawn((4, 2, 6, 9))[0])


def test_pictures_are_anchored_each_for_itself() -> None:
    x = drawn((3, 2, 8, 8))[0]
    assert torch.equal(anchor(x)[1:2], anchor(x[1:2]))
    assert torch.equal(anchor(x, stride=1), x)
    assert not torch.equal(anchor(x), x)


def test_refusals() -> None:
    refuses("stride 3 for 8 x 8", "divides both sides", anchor, torch.zeros(1, 1, 8, 8), stride=3)
    refuses("images is [8, 8]", "floats [B, C, h, w]", anchor, torch.zeros(8, 8))
