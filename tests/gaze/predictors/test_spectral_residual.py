from __future__ import annotations

import numpy as np
from PIL import Image
from scipy import ndimage

from regard.gaze.predictors import pft, spectral_residual

from .tools import drawn


def slow(picture: np.ndarray, *, residual: bool) -> np.ndarray:
    """Both transforms as their papers write them."""
    spectrum = np.fft.fft2(picture.transpose(1, 2, 0) @ [0.299, 0.587, 0.114])
    log = np.log(np.abs(spectrum))
    r = log - ndimage.uniform_filter(log, 3, mode="nearest") if residual else 0
    back = np.abs(np.fft.ifft2(np.exp(r + 1j * np.angle(spectrum)))) ** 2
    return ndimage.gaussian_filter(back, 2.5, mode="nearest")


def test_equals_the_formula() -> None:
    x = drawn()
    for i in range(2):
        want = slow(x[i].numpy(), residual=True)
        assert np.abs(spectral_residual(x).values[i].numpy() - want).max() < 1e-3 * want.max()
        assert np.abs(pft(x).values[i].numpy() - want).max() > 0.1 * want.max()


def test_a_large_picture_is_shrunk() -> None:
    """As Pillow shrinks it, which smooths, and then the formula."""
    x = drawn(1, 300, 400)
    small = [Image.fromarray(plane.float().numpy()).resize((64, 48), Image.Resampling.BILINEAR) for plane in x[0]]
    want = slow(np.stack([np.asarray(plane, dtype=float) for plane in small]), residual=True)
    got = spectral_residual(x).values
    assert got.shape == (1, 48, 64)
    assert np.abs(got[0].numpy() - want).max() < 1e-3 * want.max()
