from __future__ import annotations

import numpy as np
import pytest
import torch

from regard.gaze.predictors.aim import basis, information, unmixed

from .tools import pops_out


def test_information_equals_log_shares_at_bin_centres() -> None:
    """Responses on 16 levels fall on the centres of 16 bins, where the histogram is a plain count."""
    r = (torch.rand(3, 9, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 15).round()
    r[:, 0, 0], r[:, 0, 1] = 0, 15
    want = np.zeros((9, 11))
    for c in r.numpy():
        for level in range(16):
            if (c == level).any():
                want[c == level] -= np.log((c == level).mean())
    assert np.allclose(information(r, 16).numpy(), want, atol=1e-9)


def test_unmixing_recovers_planted_sources() -> None:
    g = torch.Generator().manual_seed(1)
    sources = torch.distributions.Laplace(0.0, 1.0).icdf(torch.rand(20_000, 4, generator=g, dtype=torch.float64))
    mixed = sources @ torch.randn(4, 4, generator=g, dtype=torch.float64)
    mixed = mixed - mixed.mean(0)
    values, vectors = torch.linalg.eigh(mixed.T @ mixed / len(mixed))
    white = mixed @ vectors / values.sqrt()
    found = white @ unmixed(white, torch.randn(4, 4, generator=g, dtype=torch.float64)).T
    match = np.abs(np.corrcoef(found.T.numpy(), sources.T.numpy())[:4, 4:])
    assert np.allclose(match.max(1), 1, atol=0.02)
    assert sorted(match.argmax(1)) == [0, 1, 2, 3]


def test_learned_responses_are_uncorrelated_and_sparse() -> None:
    filters = basis(25)
    assert filters.shape == (25, 3, 21, 21)
    from regard.gaze.predictors._photos import photos

    photo = torch.nn.functional.avg_pool2d(photos()[2].to(filters), 2)
    responses = torch.nn.functional.conv2d(photo, filters)[0].flatten(1)
    centred = responses - responses.mean(1, keepdim=True)
    kurtosis = centred.pow(4).mean(1) / centred.square().mean(1) ** 2
    assert float(kurtosis.median()) > 6  # a Gaussian has 3


def test_colour_pops_out() -> None:
    from regard.gaze.predictors import aim

    assert pops_out(aim, "colour", range(2)) == pytest.approx(1)
