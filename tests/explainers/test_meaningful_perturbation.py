from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from regard.errors import DegenerateError, LayoutError

from .models import explained, values


class Blobs(nn.Module):
    """A linear score: for the upper left blob, against the lower right one."""

    def forward(self, x: Tensor) -> Tensor:
        y = x[:, :, 2:8, 2:8].mean((1, 2, 3)) - 0.5 * x[:, :, 16:22, 16:22].mean((1, 2, 3))
        return torch.stack([-y, y], 1)


X = 1 + 0.1 * torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
INSIDE = torch.zeros(24, 24, dtype=torch.bool)
INSIDE[2:8, 2:8] = True


@pytest.mark.parametrize("game", ["delete", "preserve"])
def test_both_games_find_the_blob_that_speaks_for_the_class(game: str) -> None:
    made = values(explained(Blobs(), X, "meaningful_perturbation", game=game, side=24, steps=120, baseline="black"))[0]
    found = made > 0.5
    assert float((found & INSIDE).sum() / (found | INSIDE).sum()) > 0.8
    assert made.min() >= 0
    assert made.max() <= 1


def test_the_cost_of_area_decides_what_goes() -> None:
    shares = [
        float(
            values(explained(Blobs(), X, "meaningful_perturbation", side=12, steps=60, baseline="black", area=a)).mean()
        )
        for a in (1.0, 100.0)
    ]
    assert shares[0] > 0.03 > shares[1]


def test_refusals() -> None:
    with pytest.raises(DegenerateError, match="without evidence scores"):
        explained(Blobs(), X, "meaningful_perturbation", target=0, side=12, baseline="black")
    with pytest.raises(LayoutError, match="smooth = -1"):
        explained(Blobs(), X, "meaningful_perturbation", smooth=-1.0)
