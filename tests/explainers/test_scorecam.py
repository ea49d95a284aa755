from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

import regard as rg
from regard.errors import LayoutError
from regard.testing.planted import PlantedViT, planted_pictures

from .layers import Head, layer_of
from .models import draw, explained, values


@pytest.mark.parametrize("temperature", [1.0, 5.0])
def test_is_the_softmax_of_explicit_masked_forwards(temperature: float) -> None:
    model, x = Head(), draw(2, 3, 8, 6)
    a, _ = layer_of(model, x)
    made = explained(model, x, "scorecam", temperature=temperature)
    for b in range(2):
        scores = []
        for one in a[b]:
            mask = F.interpolate(((one - one.min()) / (one.max() - one.min()))[None, None], (8, 6), mode="bilinear")
            scores.append(model(x[b : b + 1] * mask)[0, 1].detach())
        weights = (torch.stack(scores) / temperature).softmax(0)
        torch.testing.assert_close(values(made)[b], (weights[:, None, None] * a[b]).sum(0))
    assert made.forwards == 2 * (4 + 2), "channels, the layer's own run and the search for it"


def test_works_on_tokens() -> None:
    model, x = PlantedViT().double(), planted_pictures([(2, 5)], dtype=torch.float64)
    made = explained(model, x, "scorecam")
    assert made.grid == rg.Grid(8, 8, prefix=1)


def test_refusals() -> None:
    with pytest.raises(LayoutError, match="a temperature of 0"):
        explained(Head(), draw(1, 3, 8, 6), "scorecam", temperature=0.0)
