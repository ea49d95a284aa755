"""Block masks made from intervals are those that are made from all pairs."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention.flex_attention import create_mask

from regard.errors import CallError, LayoutError
from regard.softmax import block_mask
from regard.softmax.block_mask import pairs_of_blocks

from .problems import OTHERS, SEPARABLE


@pytest.mark.parametrize("name", SEPARABLE)
@pytest.mark.parametrize("size", [4, 16])
def test_blocks_are_counted_exactly(name: str, size: int) -> None:
    pattern = SEPARABLE[name]
    mask = pattern.mask()
    expected, all_of_it = (in_blocks(x, size) for x in (mask, torch.ones_like(mask)))
    assert pairs_of_blocks(pattern, size).equal(expected)
    made = block_mask(pattern, size=size)
    assert made.to_dense()[0, 0].bool().equal(expected > 0)
    assert int(made.full_kv_num_blocks.sum()) == int((expected == all_of_it).sum())
    told = create_mask(made.mask_mod, 1, 1, *mask.shape, device="cpu")[0, 0]
    assert told.equal(mask)


@pytest.mark.parametrize("name", ["criss-cross, prefix", "uneven dilation", "cross, dense"])
def test_more_keys_are_seen_by_all(name: str) -> None:
    pattern = SEPARABLE[name]
    mask = torch.cat([pattern.mask(), torch.ones(pattern.queries.tokens, 5, dtype=torch.bool)], 1)
    made = block_mask(pattern, size=4, more=5)
    assert made.to_dense()[0, 0].bool().equal(in_blocks(mask, 4) > 0)
    assert create_mask(made.mask_mod, 1, 1, *mask.shape, device="cpu")[0, 0].equal(mask)


def in_blocks(mask: torch.Tensor, size: int) -> torch.Tensor:
    """Pairs in each pair of blocks; blocks at the end may be smaller."""
    padded = torch.nn.functional.pad(mask.long(), (0, -mask.shape[1] % size, 0, -mask.shape[0] % size))
    return padded.unflatten(1, (-1, size)).unflatten(0, (-1, size)).sum((1, 3))


def test_refusals() -> None:
    with pytest.raises(CallError, match="has no intervals"):
        block_mask(OTHERS["regions"])
    with pytest.raises(LayoutError, match="blocks of 0 tokens"):
        block_mask(SEPARABLE["near"], size=0)
