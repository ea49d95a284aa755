from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import LayoutError

from .pairs import check


def test_no_key_left_out_has_a_higher_logit(generator: torch.Generator) -> None:
    q = torch.randn(2, 4, 7, 5, generator=generator)
    k = torch.randn(2, 2, 11, 5, generator=generator)
    pattern = rg.patterns.top_k(q, k, keep=3, queries=rg.Grid(2, 3, prefix=1), keys=11)
    seen = check(pattern)
    logits = (q @ k.repeat_interleave(2, 1).mT)[:, :, 1:]
    assert (seen.sum(-1) == 3).all()
    lowest_in = logits.masked_fill(~seen, float("inf")).amin(-1)
    highest_out = logits.masked_fill(seen, float("-inf")).amax(-1)
    assert (lowest_in >= highest_out).all()
    assert rg.patterns.top_k(q, k, keep=11).mask().all()


def test_refusals() -> None:
    q = torch.zeros(1, 2, 4, 3)
    with pytest.raises(LayoutError, match="keep = 5 of 4 keys"):
        rg.patterns.top_k(q, q, keep=5)
    with pytest.raises(LayoutError, match=r"q \[1, 2, 4, 3\] and k \[1, 3, 4, 3\] on spaces 4 and 4"):
        rg.patterns.top_k(q, torch.zeros(1, 3, 4, 3), keep=2)
