from __future__ import annotations

import numpy as np
import pytest
import torch

from regard.claims import half_explanation
from regard.errors import LayoutError

G = torch.Generator().manual_seed(0)
ATTENTION = torch.randn(2, 3, 6, 8, generator=G, dtype=torch.float64).softmax(-1)
SALIENCY = torch.randn(6, 8, generator=G, dtype=torch.float64)


def slow(a: torch.Tensor, b: torch.Tensor) -> float:
    rows = [[v / sum(abs(u) for u in row) for v in row] for row in a.tolist()]
    others = [[v / sum(abs(u) for u in row) for v in row] for row in b.tolist()]
    return float(np.corrcoef(np.ravel(rows), np.ravel(others))[0, 1])


def test_it_is_pearsons_correlation_over_tokens_and_frames() -> None:
    got = half_explanation(ATTENTION, SALIENCY)
    for layer in range(2):
        for head in range(3):
            assert float(got.heads[layer, head]) == pytest.approx(slow(ATTENTION[layer, head], SALIENCY))
        assert float(got.layers[layer]) == pytest.approx(slow(ATTENTION[layer].mean(0), SALIENCY))
    assert got.all == pytest.approx(slow(ATTENTION.mean((0, 1)), SALIENCY))


def test_rows_and_columns_are_left_out_and_scale_says_nothing() -> None:
    tokens, frames = torch.arange(6) != 5, torch.arange(8) < 6
    got = half_explanation(ATTENTION, SALIENCY * torch.rand(6, 1, generator=G).double(), tokens=tokens, frames=frames)
    assert got.all == pytest.approx(slow(ATTENTION.mean((0, 1))[:5, :6], SALIENCY[:5, :6]))
    assert half_explanation(torch.ones_like(ATTENTION), SALIENCY).all == 0


def test_frames_are_laid_on_the_inputs() -> None:
    fine = torch.nn.functional.interpolate(ATTENTION[0], size=16, mode="linear")
    got = half_explanation(ATTENTION[:1], fine[1])
    assert float(got.heads[0, 1]) == pytest.approx(1)


def test_refusals() -> None:
    with pytest.raises(LayoutError, match="attention of 6 tokens, saliency of 5"):
        half_explanation(ATTENTION, SALIENCY[:5])
    with pytest.raises(LayoutError, match="0 tokens x 8 inputs"):
        half_explanation(ATTENTION, SALIENCY, tokens=torch.zeros(6, dtype=torch.bool))
