from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

import regard as rg
from regard.errors import CallError

from .rows_of import blocks, logits, watched, whole


def test_equals_the_definition() -> None:
    s = logits(2, 3, 5, 7)
    p, got = s.softmax(-1), rg.probes.group_mass(whole(s), keys=(6, 0, 3))
    torch.testing.assert_close(got, p[..., 6] + p[..., 0] + p[..., 3], rtol=1e-12, atol=0)


@pytest.mark.parametrize("keys", [(), (2,), (0, 1, 2), tuple(range(9))])
def test_uniform_attention_gives_the_share_of_keys(keys: tuple[int, ...]) -> None:
    got = rg.probes.group_mass(whole(torch.zeros(1, 2, 3, 9)), keys=keys)
    torch.testing.assert_close(got, torch.full((1, 2, 3), len(keys) / 9))


def test_a_group_and_its_complement_share_the_row() -> None:
    rows = whole(logits(1, 2, 5, 7))
    mask = torch.tensor([True, False, False, True, True, False, True])
    inside, outside = (tuple(m.nonzero()[:, 0].tolist()) for m in (mask, ~mask))
    total = rg.probes.group_mass(rows, keys=inside) + rg.probes.group_mass(rows, keys=outside)
    torch.testing.assert_close(total, torch.ones(1, 2, 5, dtype=torch.float64))
    assert inside == (0, 3, 4, 6)


def test_a_key_counts_once() -> None:
    rows = whole(logits(1, 2, 5, 7))
    assert torch.equal(rg.probes.group_mass(rows, keys=(4, 4, 1)), rg.probes.group_mass(rows, keys=(1, 4)))


def test_blocks_are_the_whole_in_pieces() -> None:
    s = logits(1, 2, 9, 6)
    pieces = torch.cat([rg.probes.group_mass(rows, keys=(1, 5)) for rows in blocks(s, 4)], dim=2)
    torch.testing.assert_close(pieces, rg.probes.group_mass(whole(s), keys=(1, 5)))


@pytest.mark.parametrize("key", [7, -1])
def test_a_key_that_is_not_there(key: int) -> None:
    with pytest.raises(CallError, match=f"no key {key}: the call has 7"):
        rg.probes.group_mass(whole(logits(1, 1, 5, 7)), keys=(0, key))


def test_the_prefix_as_a_group_has_the_prefix_mass(dinov2: nn.Module) -> None:
    got, probs, grid = watched(dinov2, functools.partial(rg.probes.group_mass, keys=(0,)))
    assert grid.prefix == 1
    torch.testing.assert_close(got.double(), probs[..., 0], rtol=1e-5, atol=1e-8)
    torch.testing.assert_close(got.mean(-1), rg.probes.prefix_mass(probs.float().mean(2), grid))
