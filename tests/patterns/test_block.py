from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import LayoutError

from .pairs import check

TABLE = torch.tensor([[1, 0, 1, 0, 0, 1], [0, 1, 1, 0, 0, 0]]).bool()


def test_the_table_enlarged_to_tokens() -> None:
    pattern = rg.patterns.block((2, 5), (2, 3), TABLE, keys=(4, 7))
    check(pattern, lambda i, j: bool(TABLE[i[1] // 3, j[0] // 2 * 3 + j[1] // 3]))
    diagonal = rg.patterns.block((4, 6), (2, 3), torch.eye(4, dtype=torch.bool))
    assert diagonal.mask().equal(rg.patterns.window((4, 6), (2, 3)).mask())
    assert diagonal == rg.patterns.block((4, 6), (2, 3), torch.eye(4, dtype=torch.bool))
    assert diagonal != rg.patterns.block((4, 6), (2, 3), torch.ones(4, 4, dtype=torch.bool))


def test_refusals() -> None:
    with pytest.raises(LayoutError, match=r"a table of \[2, 6\] torch.bool for 2 x 2 blocks"):
        rg.patterns.block(4, 2, TABLE)
    with pytest.raises(LayoutError, match=r"a table of \[2, 2\] torch.float32"):
        rg.patterns.block(4, 2, torch.ones(2, 2))
    with pytest.raises(LayoutError, match="blocks on 4 and 2x2: another number of axes"):
        rg.patterns.block(4, 2, TABLE, keys=(2, 2))
