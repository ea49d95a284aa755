from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import regard as rg

from .rows_of import call_of, logits, watched


def slow(p: torch.Tensor) -> torch.Tensor:
    values = torch.linalg.svdvals(p)
    out = torch.zeros(p.shape[:2], dtype=torch.float64)
    for b in range(p.shape[0]):
        for h in range(p.shape[1]):
            shares = [float(v / values[b, h].sum()) for v in values[b, h]]
            out[b, h] = math.exp(-sum(s * math.log(s) for s in shares if s > 0))
    return out


@pytest.mark.parametrize(("q", "k"), [(9, 9), (11, 6), (4, 13)])
def test_equals_the_definition(q: int, k: int) -> None:
    p = logits(2, 3, q, k).softmax(-1)
    torch.testing.assert_close(rg.probes.rank(call_of(p)), slow(p), rtol=1e-6, atol=0)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_equal_groups_are_counted(groups: int) -> None:
    """Tokens that look at their own group only, and there everywhere alike: so many directions."""
    same = torch.arange(6) // (6 // groups)
    p = (same[:, None] == same).double() * groups / 6
    torch.testing.assert_close(rg.probes.rank(call_of(p[None, None])).item(), float(groups))


def test_a_head_that_is_wholly_masked_has_none() -> None:
    assert rg.probes.rank(call_of(torch.zeros(1, 1, 3, 3))).item() == 0.0


def test_agrees_with_the_explicit_matrix(dinov2: nn.Module) -> None:
    got, probs, _ = watched(dinov2, rg.probes.rank)
    torch.testing.assert_close(got, slow(probs), rtol=1e-3, atol=0)
    assert bool((got > 1).all() & (got < probs.shape[-1]).all())
