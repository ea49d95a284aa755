from __future__ import annotations

import pytest
import torch
from torch import nn

import regard as rg

from .rows_of import blocks, logits, watched, whole


def mean_difference(p: torch.Tensor) -> torch.Tensor:
    """The other definition: half the mean absolute difference of all pairs, over the mean."""
    keys = p.shape[-1]
    return (p[..., :, None] - p[..., None, :]).abs().sum((-1, -2)) / (2 * keys * p.sum(-1))


def test_equals_the_mean_difference_of_all_pairs() -> None:
    s = logits(2, 3, 5, 7)
    slow = mean_difference(s.softmax(-1))
    torch.testing.assert_close(rg.probes.gini(whole(s)), slow, rtol=1e-12, atol=1e-14)
    wrong = mean_difference(s.softmax(-1).square())  # of unnormalised squares: the formula would not notice a scale
    assert not torch.allclose(rg.probes.gini(whole(s)), wrong)


@pytest.mark.parametrize(("some", "keys"), [(1, 1), (7, 7), (1, 5), (3, 8), (2, 1001)])
def test_equal_attention_on_some_of_the_keys(some: int, keys: int) -> None:
    s = torch.full((1, 1, 1, keys), -float("inf"), dtype=torch.float64)
    s[..., keys - some :] = 1.0
    assert float(rg.probes.gini(whole(s))) == pytest.approx(1 - some / keys, abs=1e-12)


def test_a_wholly_masked_query_has_none() -> None:
    assert float(rg.probes.gini(whole(torch.full((1, 1, 1, 3), -float("inf"))))) == 0.0


def test_copies_of_the_keys_change_nothing() -> None:
    s = logits(1, 1, 4, 6)
    torch.testing.assert_close(rg.probes.gini(whole(s)), rg.probes.gini(whole(torch.cat([s, s, s], dim=-1))))


def test_blocks_are_the_whole_in_pieces() -> None:
    s = logits(1, 2, 9, 6)
    pieces = torch.cat([rg.probes.gini(rows) for rows in blocks(s, 4)], dim=2)
    torch.testing.assert_close(pieces, rg.probes.gini(whole(s)))


def test_never_negative_in_single_precision() -> None:
    assert float(rg.probes.gini(whole(torch.full((1, 1, 3, 997), 0.1))).min()) >= 0.0


def test_agrees_with_the_explicit_matrix(dinov2: nn.Module) -> None:
    got, probs, _ = watched(dinov2, rg.probes.gini)
    torch.testing.assert_close(got.double(), mean_difference(probs), rtol=1e-4, atol=1e-5)
