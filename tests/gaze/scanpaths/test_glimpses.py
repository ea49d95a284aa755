"""Glimpse prediction: the recurrence by hand, the ablations ablate, the loss by hand."""

from __future__ import annotations

import pytest
import torch

from regard.errors import LayoutError
from regard.gaze.scanpaths.glimpses import GlimpsePredictor, contrastive


def made(**how: bool) -> GlimpsePredictor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return GlimpsePredictor(6, width=5, **how).double()


def drawn(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(3, 4, n, generator=g, dtype=torch.float64) for n in (6, 2))  # type: ignore[return-value]


def test_the_recurrence_equals_torchs_own() -> None:
    model, (glimpses, saccades) = made(), drawn()
    with torch.random.fork_rng(devices=[]):
        gru = torch.nn.GRU(8, 5).double()
    for name, value in model.cell.named_parameters():
        getattr(gru, f"{name}_l0").data = value.data
    states = gru(torch.cat([glimpses, saccades], -1).transpose(0, 1))[0].transpose(0, 1)
    predicted, seen = model(glimpses, saccades)
    assert torch.allclose(seen, states, atol=1e-12)
    assert torch.allclose(predicted, states @ model.predict.weight.T + model.predict.bias, atol=1e-12)


def test_ablations() -> None:
    glimpses, saccades = drawn()
    blind = made(saccade=False)
    assert torch.equal(blind(glimpses, saccades)[0], blind(glimpses, saccades + 1)[0])
    alone = made(recurrent=False)
    other = glimpses.clone()
    other[:, 0] += 1
    assert torch.equal(alone(glimpses, saccades)[0][:, 1:], alone(other, saccades)[0][:, 1:])
    assert not torch.equal(made()(glimpses, saccades)[0][:, 1:], made()(other, saccades)[0][:, 1:])


def test_the_loss_by_hand_and_refusals() -> None:
    glimpses, _ = drawn()
    predicted = drawn(1)[0]
    one, other = (v.reshape(12, 6) / v.reshape(12, 6).norm(dim=1, keepdim=True) for v in (predicted, glimpses))
    logits = one @ other.T / 0.2
    by_hand = -(logits.diagonal() - logits.exp().sum(1).log()).mean()
    assert torch.allclose(contrastive(predicted, glimpses, temperature=0.2), by_hand, atol=1e-12)
    with pytest.raises(LayoutError, match="saccades"):
        made()(glimpses, torch.zeros(3, 3, 2).double())
