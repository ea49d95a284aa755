from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

import regard as rg
from regard.errors import CallError

from .rows_of import blocks, logits, watched, whole


@pytest.mark.parametrize(
    ("offset", "skip"), [(0, 0), (-1, 0), (1, 0), (-4, 0), (3, 0), (-6, 0), (4, 0), (0, 2), (-1, 2), (1, 2), (-6, 2)]
)
@pytest.mark.parametrize("size", [1, 3, 100])
def test_blocks_sum_to_the_definition(offset: int, skip: int, size: int) -> None:
    s = logits(2, 3, 7, 5)
    p = s.softmax(-1)
    pairs = [(i, i + offset) for i in range(skip, 7) if 0 <= i + offset < 5]
    slow = sum(p[:, :, i, j] for i, j in pairs) / len(pairs)
    got = sum(rg.probes.diagonal(rows, offset=offset, skip=skip) for rows in blocks(s, size))
    torch.testing.assert_close(got, slow)


def test_uniform_attention() -> None:
    rows = whole(torch.zeros(1, 2, 9, 9))
    for offset in (-8, -1, 0, 5):
        torch.testing.assert_close(rg.probes.diagonal(rows, offset=offset), torch.full((1, 2), 1 / 9))


def test_heads_that_look_at_themselves_and_at_the_token_before() -> None:
    p = torch.stack([torch.eye(6), torch.eye(6).roll(-1, dims=1)])[None]  # the first token looks at the last
    rows = whole(p.log())
    assert rg.probes.diagonal(rows).tolist() == [[1.0, 0.0]]
    assert rg.probes.diagonal(rows, offset=-1).tolist() == [[0.0, 1.0]]


def induction(tokens: list[int]) -> torch.Tensor:
    """An ideal induction head: equal attention to what followed each earlier copy of the token; else to oneself."""
    p = torch.zeros(len(tokens), len(tokens))
    for i, token in enumerate(tokens):
        after = [j + 1 for j in range(i) if tokens[j] == token] or [i]
        p[i, after] = 1 / len(after)
    return p


def test_a_planted_induction_head_is_found_by_its_period() -> None:
    period = 5
    once = torch.randperm(20, generator=torch.Generator().manual_seed(3))[:period].tolist()
    p = induction([*once, *once])
    heads = torch.stack([p, torch.eye(10), torch.full((10, 10), 0.1)])[None]
    got = rg.probes.diagonal(whole(heads.log()), offset=1 - period, skip=period)
    torch.testing.assert_close(got, torch.tensor([[1.0, 0.0, 0.1]]))
    off = rg.probes.diagonal(whole(heads.log()), offset=-period, skip=period)  # the planted fault: the copy itself
    torch.testing.assert_close(off, torch.tensor([[0.0, 0.0, 0.1]]))
    early = rg.probes.diagonal(whole(heads.log()), offset=1 - period)  # one query more, before anything was repeated
    torch.testing.assert_close(early, torch.tensor([[5 / 6, 0.0, 0.1]]))


@pytest.mark.parametrize(("offset", "skip"), [(5, 0), (-7, 0), (0, 5), (-4, 7)])
def test_a_diagonal_that_is_not_there(offset: int, skip: int) -> None:
    with pytest.raises(CallError, match=f"no query from {skip} on has a key {offset} places on: there are 7 queries"):
        rg.probes.diagonal(whole(logits(1, 1, 7, 5)), offset=offset, skip=skip)


def test_agrees_with_the_explicit_matrix(dinov2: nn.Module) -> None:
    got, probs, grid = watched(dinov2, functools.partial(rg.probes.diagonal, offset=-rg.Grid(9, 9).w))
    assert grid.tokens == probs.shape[-1]
    torch.testing.assert_close(got.double(), probs.diagonal(-9, 2, 3).mean(-1), rtol=1e-5, atol=1e-8)
