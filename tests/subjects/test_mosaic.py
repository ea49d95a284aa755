from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import regard as rg
from regard.errors import LayoutError
from regard.subjects.mosaic import mosaic, piece
from regard.testing.planted import PlantedCNN, planted_pictures


def test_pieces_hold_their_pictures() -> None:
    pictures = [torch.full((1, 2, 6, 4), float(i)) for i in range(9)]
    whole = mosaic(pictures, shrink=False)
    assert whole.shape == (1, 2, 18, 12)
    for i in range(9):
        assert whole[0, :, piece(whole, i, 3)].unique().tolist() == [i]
    assert sum(piece(whole, i, 3).int() for i in range(9)).unique().tolist() == [1]
    assert mosaic(pictures[:4]).shape == (1, 2, 6, 4)


def test_the_grid_game_is_the_energy_in_a_piece() -> None:
    """A model of redness: nearly all positive evidence lies in the red picture; a constant map gets a quarter."""
    red, grey, model = planted_pictures([(4, 4)], reach=2), 0.05 * torch.ones(1, 3, 32, 32), PlantedCNN()
    for at in range(4):
        x = mosaic([red if i == at else grey for i in range(4)])
        heat = rg.explain(model, x, method="gradcam", target=1)
        where = piece(x, at, 2)
        assert rg.score(heat, model, x, metric="energy_in_mask", region=where).value > 0.9
        flat = replace(heat, values=np.ones_like(heat.values))
        assert rg.score(flat, model, x, metric="energy_in_mask", region=where).value == pytest.approx(0.25)


def test_what_makes_no_mosaic_is_refused() -> None:
    one = torch.zeros(1, 3, 4, 4)
    for pictures in ([one] * 3, [one], [one] * 3 + [torch.zeros(1, 3, 4, 5)]):
        with pytest.raises(LayoutError, match="in a mosaic"):
            mosaic(pictures)
