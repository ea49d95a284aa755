from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import LayoutError


@pytest.mark.parametrize("prefix", [0, 1, 5])
def test_uniform_attention_gives_the_share_of_tokens(prefix: int) -> None:
    grid = rg.Grid(3, 4, prefix=prefix)
    got = rg.probes.prefix_mass(torch.full((2, 3, grid.tokens), 1 / grid.tokens), grid)
    torch.testing.assert_close(got, torch.full((2, 3), prefix / grid.tokens))


def test_sums_the_first_tokens_only() -> None:
    received = torch.tensor([[[0.1, 0.2, 0.3, 0.4]]])
    torch.testing.assert_close(rg.probes.prefix_mass(received, rg.Grid(1, 2, prefix=2)), torch.tensor([[0.3]]))


def test_another_grid_is_refused() -> None:
    with pytest.raises(LayoutError, match="received attention has 5 tokens"):
        rg.probes.prefix_mass(torch.zeros(1, 1, 5), rg.Grid(2, 2))
