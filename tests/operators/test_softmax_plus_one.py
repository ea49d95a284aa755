from __future__ import annotations

import torch
from torch.nn import functional as F

import regard as rg

from .tools import agree, drawn

softmax_plus_one = rg.operators.softmax_plus_one


def test_equals_one_more_logit_of_zero() -> None:
    agree(softmax_plus_one, lambda s: torch.softmax(F.pad(s, (0, 1)), -1)[..., :-1], drawn((2, 3, 5, 6))[0])


def test_large_logits_do_not_overflow_and_low_ones_look_at_nothing() -> None:
    assert torch.allclose(softmax_plus_one(torch.full((1, 1, 1, 4), 500.0)), torch.full((4,), 0.25))
    assert float(softmax_plus_one(torch.full((1, 1, 1, 4), -50.0)).sum()) < 1e-20
