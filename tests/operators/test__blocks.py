from __future__ import annotations

import pytest
import torch

from regard.operators._blocks import Chosen, attend_blocks, cut, importance

from .tools import dense, qkv, refuses


def test_cutting_and_its_refusal() -> None:
    x = qkv(q=12, k=12)[0]
    assert torch.equal(cut(x, 4).flatten(2, 3), x)
    refuses("12 tokens in blocks of 5", "divides the tokens", cut, x, 5)
    refuses("12 tokens in blocks of 0", "divides the tokens", cut, x, 0)


def test_importance_is_a_softmax_of_means() -> None:
    q, k, _ = qkv(q=12, k=12)
    found = importance(cut(q, 4), cut(k, 3), 0.5)
    means = lambda x, n: torch.stack([part.mean(2) for part in x.split(n, 2)], 2)  # noqa: E731
    assert torch.allclose(found, torch.softmax(0.5 * means(q, 4) @ means(k, 3).mT, -1), atol=1e-12)


@pytest.mark.parametrize("size", [1, 3])
def test_chosen_blocks_equal_a_mask_and_count_for_their_size(size: int) -> None:
    """With keys repeated `size` times in the dense form: what a mean stands for."""
    q, k, v = qkv(q=8, k=12)
    index = torch.tensor([[0, 2], [1, 1]])[None, None].expand(2, 3, 2, 2)  # block 1 twice counts twice
    out = attend_blocks(cut(q, 4), [Chosen(cut(k, 4), cut(v, 4), index, size)], scale=0.5)
    for block, blocks in enumerate(([0, 2], [1, 1])):
        keys = torch.cat([torch.arange(4 * b, 4 * b + 4) for b in blocks]).repeat(size)
        rows = slice(4 * block, 4 * block + 4)
        assert torch.allclose(out[:, :, rows], dense(q[:, :, rows], k[:, :, keys], v[:, :, keys]), atol=1e-12)


def test_sizes_matter_only_beside_other_sizes() -> None:
    q, k, v = qkv(q=8, k=12)
    first, second = torch.zeros(2, 3, 2, 1, dtype=torch.long), torch.ones(2, 3, 2, 1, dtype=torch.long)
    parts = lambda size: [  # noqa: E731
        Chosen(cut(k, 4), cut(v, 4), first), Chosen(cut(k, 4), cut(v, 4), second, size)
    ]  # fmt: skip
    assert not torch.allclose(
        attend_blocks(cut(q, 4), parts(1), scale=0.5), attend_blocks(cut(q, 4), parts(2), scale=0.5)
    )
    keys = torch.tensor([0, 1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 7])
    assert torch.allclose(
        attend_blocks(cut(q, 4), parts(2), scale=0.5), dense(q, k[:, :, keys], v[:, :, keys]), atol=1e-12
    )
