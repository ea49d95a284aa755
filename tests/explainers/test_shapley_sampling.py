from __future__ import annotations

import pytest
import torch

from regard.errors import LayoutError

from . import games
from .games import Game, cells_of, pictures, subsets
from .models import explained


def test_pairs_of_orders_are_exact_where_only_pairs_of_cells_interact() -> None:
    """In an order and its reverse each of two cells comes first once: that is all the average over orders does."""
    model, x = Game(), pictures()
    made = explained(model, x, "shapley_sampling", cells=2, baseline="black", orders=2)
    torch.testing.assert_close(cells_of(made), games.shapley(subsets(model, x, 1, 2, 3), 6))
    assert made.gap is not None
    assert made.gap < 1e-9
    assert made.forwards == 2 * (1 + 1 + 2 * 5)


def test_unbiased_with_an_honest_error() -> None:
    model, x = torch.nn.Sequential(Game(), torch.nn.Tanh()), pictures(1)
    wanted = games.shapley(subsets(model, x, 1, 2, 3), 6)
    made = explained(model, x, "shapley_sampling", cells=2, baseline="black", orders=400)
    assert made.se is not None
    z = (cells_of(made) - wanted) / torch.from_numpy(made.se).flatten(1)
    assert z.abs().max() < 4
    assert float(torch.from_numpy(made.se).max()) < 0.05


def test_an_odd_number_of_orders_is_refused() -> None:
    with pytest.raises(LayoutError, match="3 orders"):
        explained(Game(), pictures(), "shapley_sampling", cells=2, orders=3)
