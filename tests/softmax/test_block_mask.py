"""Block masks made from intervals are those that are made from all pairs."""

from __future__ import annotations

import subprocess
import sys

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


def in_blocks(mask: torch.Tensor, size: int) -> torch.Tensor:
    """Pairs in each pair of blocks; blocks at the end may be smaller."""
    padded = torch.nn.functional.pad(mask.long(), (0, -mask.shape[1] % size, 0, -mask.shape[0] % size))
    return padded.unflatten(1, (-1, size)).unflatten(0, (-1, size)).sum((1, 3))


@pytest.mark.slow
def test_flex_attention_with_it_is_attend() -> None:
    """In a process of its own: torch traces the mask, and cannot trace what checks annotations here."""
    subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM], check=True)


PROGRAM = """
import torch, regard as rg
from regard.softmax import block_mask
from torch.nn.attention.flex_attention import flex_attention
pattern = rg.patterns.neighborhood(rg.Grid(15, 16, prefix=1), 5, dilation=(1, 2))
q, k, v = (torch.randn(1, 2, 241, 16) for _ in range(3))
got = flex_attention(q, k, v, block_mask=block_mask(pattern, size=128))
torch.testing.assert_close(got, rg.attend(q, k, v, pattern=pattern).out, rtol=1e-5, atol=1e-5)
"""


def test_refusals() -> None:
    with pytest.raises(CallError, match="has no intervals"):
        block_mask(OTHERS["regions"])
    with pytest.raises(LayoutError, match="blocks of 0 tokens"):
        block_mask(SEPARABLE["near"], size=0)
