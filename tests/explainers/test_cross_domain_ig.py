from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from regard.errors import LayoutError, MethodError

from .models import Linear, Net, draw, explained, values


def series(length: int = 40) -> tuple[nn.Module, torch.Tensor]:
    """A small network over series `[B, 2, T]`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv1d(2, 6, 5), nn.Tanh(), nn.Flatten(), nn.Linear(6 * (length - 4), 3))
    return model.double(), draw(2, 2, length)


def test_the_identity_is_integrated_gradients() -> None:
    model, x = Net(bias=True), draw(2, 3, 9, 7)
    ours, plain = (values(explained(model, x, n, steps=6)) for n in ("cross_domain_ig", "integrated_gradients"))
    assert torch.equal(ours, plain)


def test_of_a_linear_model_it_is_the_cross_spectrum() -> None:
    """Parseval: y = sum_k Re[X_k conj(W_k)] / n, so each frequency's part is known."""
    model, x = Linear(bias=False).double(), draw(2, 3, 5, 7)
    spectrum, weights = torch.fft.fft2(x), torch.fft.fft2(model.weight[1].detach())
    wanted = torch.fft.fftshift((spectrum * weights.conj()).real.sum(1) / 35, (-2, -1))
    got = explained(model, x, "cross_domain_ig", transform="fourier", steps=1)
    torch.testing.assert_close(values(got), wanted)
    assert got.gap < 1e-12
    assert (got.site, got.grid.h, got.grid.w) == ("fourier", 5, 7)


def test_a_real_picture_has_a_symmetric_spectrum() -> None:
    got = values(explained(Net(bias=True), draw(1, 3, 9, 7), "cross_domain_ig", transform="fourier", steps=4))
    torch.testing.assert_close(got, got.flip(-1, -2), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("transform", ["fourier", "stft", "identity"])
def test_completeness_of_series(transform: str) -> None:
    model, x = series()
    got = explained(model, x, "cross_domain_ig", transform=transform, window=8)
    assert got.gap < 1e-7
    assert got.values.shape == {"fourier": (2, 2, 21), "stft": (2, 5, 21), "identity": (2, 2, 40)}[transform]


def test_half_a_spectrum_stands_for_all_of_it() -> None:
    model, x = series()
    got = values(explained(model, x, "cross_domain_ig", transform="fourier"))
    full: Any = (torch.fft.fft, lambda z: torch.fft.ifft(z).real)
    both = values(explained(model, x, "cross_domain_ig", transform=full))
    folded = both[..., :21].clone()
    folded[..., 1:20] += both[..., 21:].flip(-1)
    torch.testing.assert_close(got, folded)


def test_any_invertible_transform_also_one_that_is_not_linear() -> None:
    model, x = Net(bias=True), draw(2, 3, 9, 7).exp()
    made = explained(model, x, "cross_domain_ig", transform=(lambda x: (1 + x).log(), lambda z: z.exp() - 1))
    assert made.gap < 0.02
    mixing = torch.linalg.qr(draw(189, 189, seed=3)).Q
    pair = (lambda x: x.flatten(1) @ mixing, lambda z: (z @ mixing.T).view(-1, 3, 9, 7))
    turned = explained(model, x, "cross_domain_ig", transform=pair)
    assert turned.values.shape == (2, 1, 189)
    assert turned.gap < 0.02


def test_the_planted_fault_a_missing_conjugate_breaks_completeness() -> None:
    model, x = series()
    weights = torch.autograd.functional.jacobian(lambda x: model(x)[:, 1].sum(), x)
    z, slope = torch.fft.fft(x), torch.fft.fft(weights) / x.shape[-1]
    right, wrong = ((z * s).real.sum() for s in (slope.conj(), slope))
    torch.testing.assert_close(right, (x * weights).sum())
    assert not np.isclose(float(wrong), float(right), rtol=0.1)


def test_refusals() -> None:
    model, x = Net(bias=True), draw(1, 3, 9, 7)
    with pytest.raises(LayoutError, match="the inverse gives the input back with an error of"):
        explained(model, x, "cross_domain_ig", transform=(lambda x: 2 * x, lambda z: z))
    with pytest.raises(LayoutError, match=r"windows of 32 samples of an input \[1, 3, 9, 7\]"):
        explained(model, x, "cross_domain_ig", transform="stft")
    with pytest.raises(MethodError, match="no transform named 'wavelet'"):
        explained(model, x, "cross_domain_ig", transform="wavelet")
