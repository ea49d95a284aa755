from __future__ import annotations

import functools

import torch
from torch import nn

import regard as rg


def test_uniform_attention_has_no_sink() -> None:
    assert float(rg.probes.sink_mass(torch.full((1, 1, 50), 0.02))) == 0.0


def test_everybody_looking_at_one_key_is_all_sink() -> None:
    assert float(rg.probes.sink_mass(torch.eye(1, 50)[None])) == 1.0


def test_a_planted_sink_is_found_with_its_exact_mass() -> None:
    received = torch.full((1, 2, 101), 0.4 / 99)
    received[:, :, 7] = 0.35
    received[:, :, 50] = 0.25
    received[0, 1] = 1 / 101
    torch.testing.assert_close(rg.probes.sink_mass(received), torch.tensor([[0.6, 0.0]]))


def test_the_threshold_is_a_multiple_of_the_fair_share() -> None:
    received = torch.tensor([[[0.5, *[0.5 / 9] * 9]]])  # five times the fair share of 0.1
    assert float(rg.probes.sink_mass(received, times=4.9)) == 0.5
    assert float(rg.probes.sink_mass(received, times=5.1)) == 0.0


def test_agrees_with_the_explicit_matrix(dinov2: nn.Module) -> None:
    x = rg.image("sample:rocket", like=dinov2, patches=100)
    keep = {"mass": functools.partial(rg.probes.sink_mass, times=5.0), "probs": "probs"}
    with torch.no_grad(), rg.watch(dinov2, "blocks.{4..5}.attn", keep=keep) as record:
        dinov2(x)
    for reading in record:
        columns = reading["probs"].mean(2)
        slow = torch.where(columns > 5.0 / columns.shape[-1], columns, 0.0).sum(-1)
        torch.testing.assert_close(reading["mass"], slow)
