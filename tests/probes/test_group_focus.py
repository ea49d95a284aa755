from __future__ import annotations

import functools
import math

import pytest
import torch
from torch import nn

import regard as rg
from regard.errors import CallError

from .rows_of import blocks, logits, watched, whole


def test_equals_the_definition() -> None:
    s, keys = logits(2, 3, 5, 7), (6, 0, 3)
    p, got = s.softmax(-1), rg.probes.group_focus(whole(s), keys=keys)
    for head in range(3):
        for query in range(5):
            row = [float(p[1, head, query, key]) for key in keys]
            entropy = -sum(one / sum(row) * math.log(one / sum(row)) for one in row)
            assert float(got[1, head, query]) == pytest.approx(sum(row) * (1 - entropy / math.log(3)), rel=1e-10)


@pytest.mark.parametrize("keys", [(0, 1, 2), tuple(range(9))])
def test_even_attention_has_no_focus_and_one_key_has_all(keys: tuple[int, ...]) -> None:
    even = rg.probes.group_focus(whole(torch.zeros(1, 2, 3, 9)), keys=keys)
    torch.testing.assert_close(even, torch.zeros(1, 2, 3), rtol=0, atol=1e-6)
    one = torch.full((1, 2, 3, 9), float("-inf"))
    one[..., 2] = one[..., 8] = 0.0
    inside = 0.5 if len(keys) == 3 else 1 - math.log(2) / math.log(9)
    torch.testing.assert_close(rg.probes.group_focus(whole(one), keys=keys), torch.full((1, 2, 3), inside))


def test_a_group_of_one_key_or_none_is_its_mass_and_a_key_counts_once() -> None:
    rows = whole(logits(1, 2, 5, 7))
    for keys in ((4,), (4, 4), ()):
        assert torch.equal(rg.probes.group_focus(rows, keys=keys), rg.probes.group_mass(rows, keys=keys))
    assert torch.equal(rg.probes.group_focus(rows, keys=(4, 4, 1)), rg.probes.group_focus(rows, keys=(1, 4)))


def test_nothing_on_the_group_is_0() -> None:
    s = torch.zeros(1, 1, 2, 5)
    s[..., :3] = float("-inf")
    assert torch.equal(rg.probes.group_focus(whole(s), keys=(0, 1, 2)), torch.zeros(1, 1, 2))


def test_blocks_are_the_whole_in_pieces() -> None:
    s = logits(1, 2, 9, 6)
    pieces = torch.cat([rg.probes.group_focus(rows, keys=(1, 5, 2)) for rows in blocks(s, 4)], dim=2)
    torch.testing.assert_close(pieces, rg.probes.group_focus(whole(s), keys=(1, 5, 2)))


@pytest.mark.parametrize("key", [7, -1])
def test_a_key_that_is_not_there(key: int) -> None:
    with pytest.raises(CallError, match=f"no key {key}: the call has 7"):
        rg.probes.group_focus(whole(logits(1, 1, 5, 7)), keys=(0, key))


def test_on_a_real_photo_it_never_exceeds_the_mass(dinov2: nn.Module) -> None:
    patches = tuple(range(1, 90))
    got, probs, _ = watched(dinov2, functools.partial(rg.probes.group_focus, keys=patches))
    mass = probs[..., 1:90].sum(-1)
    assert bool((got <= mass * (1 + 1e-5)).all())
    share = probs[..., 1:90] / mass[..., None]
    wanted = mass * (1 + (share * share.log()).sum(-1) / math.log(89))
    torch.testing.assert_close(got.double(), wanted, rtol=1e-4, atol=1e-6)
