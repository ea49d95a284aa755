from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import CallError, LayoutError
from regard.probes._shared import check_indices, lengths, patch_rows

from .rows_of import blocks, logits, whole


@pytest.mark.parametrize("size", [1, 2, 3, 9])
@pytest.mark.parametrize("prefix", [0, 1, 3])
def test_patch_rows_strung_together_are_the_matrix_without_its_prefix(size: int, prefix: int) -> None:
    grid = rg.Grid(2, 3, prefix=prefix)
    s = logits(1, 2, grid.tokens, grid.tokens)
    parts, next_patch = [], 0
    for rows in blocks(s, size):
        probs, first = patch_rows(rows, grid)
        assert first == next_patch
        next_patch += probs.shape[2]
        parts.append(probs)
    assert torch.equal(torch.cat(parts, dim=2), s.softmax(-1)[:, :, prefix:, prefix:])


def test_patch_rows_of_another_grid_are_refused() -> None:
    with pytest.raises(LayoutError, match="the attention row has 9 tokens, but grid 2x2 has 4"):
        patch_rows(whole(logits(1, 1, 9, 9)), rg.Grid(2, 2))


def test_check_indices() -> None:
    check_indices("key", (0, 4, 4), 5)
    check_indices("key", (), 5)
    for wrong in (5, -1):
        with pytest.raises(CallError, match=rf"^no key {wrong}: the call has 5\n  try: 0 \.\. 4$"):
            check_indices("key", (0, wrong), 5)


def test_lengths_are_taken_wide_and_shared_by_a_group() -> None:
    x = torch.full((1, 2, 3, 400), 20.0, dtype=torch.float16)  # a sum of squares that float16 cannot hold
    x[:, 1] = 0.0
    got = lengths(x, 4)
    assert got.dtype == torch.float32
    assert got[0, :, 0].tolist() == [400.0, 400.0, 0.0, 0.0]
