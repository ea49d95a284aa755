"""Blur that leaves as much: SSIM as scikit-image has it, equal afterwards, refusals."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from scipy import ndimage
from skimage.metrics import structural_similarity

from regard.errors import DegenerateError, LayoutError
from regard.gaze.foveation import matched_blur
from regard.gaze.foveation.matched_blur import ssim
from regard.gaze.predictors._shared import blur


def pictures(n: int = 2, side: int = 40) -> torch.Tensor:
    noise = torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (0.5 * noise + 0.5 * blur(noise, 2.0)).clamp(0, 1)


def test_ssim_by_scipy_and_near_scikit_image() -> None:
    """scikit-image ends its windows at 3.5 sigma and leaves five pixels at the edges out."""
    x = pictures(1, 90)
    y = (0.7 * blur(x, 1.0) + 0.1).clamp(0, 1)
    a, b = x[0, 0].numpy(), y[0, 0].numpy()
    window = partial(ndimage.gaussian_filter, sigma=1.5, truncate=4, mode="nearest")
    ma, mb = window(a), window(b)
    va, vb, both = window(a * a) - ma**2, window(b * b) - mb**2, window(a * b) - ma * mb
    slow = (2 * ma * mb + 1e-4) * (2 * both + 9e-4) / ((ma**2 + mb**2 + 1e-4) * (va + vb + 9e-4))
    assert float(ssim(x, y)) == pytest.approx(slow.mean(), abs=1e-9)
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    assert float(ssim(x, y)) == pytest.approx(structural_similarity(a, b, **options), abs=0.01)


@pytest.mark.parametrize("foveated", [True, False])
def test_as_much_is_left(foveated: bool) -> None:
    x = pictures()
    seen = blur(x, 1.3)
    made = matched_blur(x, seen, (20.0, 20.0), foveated=foveated)
    soft = made(x, (20.0, 20.0))
    assert float(ssim(x, soft)) == pytest.approx(float(ssim(x, seen)), abs=1e-3)
    off = (soft - x).abs().mean((0, 1))
    if foveated:
        assert float(off[18:22, 18:22].mean()) < 0.5 * float(off[:4, :4].mean())
    else:
        assert made.strength == pytest.approx(1.3, rel=1e-3)


def test_what_no_blur_can_match() -> None:
    x = pictures()
    with pytest.raises(DegenerateError, match=r"an SSIM of 1\.0000 that no blur has"):
        matched_blur(x, x, (20.0, 20.0))
    with pytest.raises(DegenerateError, match="that no blur has"):
        matched_blur(x, 1 - x, (20.0, 20.0), foveated=False)
    with pytest.raises(LayoutError, match=r"pictures \[2, 1, 40, 40\] and \[1, 1, 40, 40\]"):
        matched_blur(x, x[:1], (20.0, 20.0))
