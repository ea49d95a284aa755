from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from regard.errors import LayoutError
from regard.gaze.foveation import acuity
from regard.gaze.foveation._shared import eccentricity
from regard.gaze.foveation.acuity import cutoff, sigma_of, weights

from .tools import drawn


def test_equals_an_explicit_mixture() -> None:
    """Cut-off, weights and blur again, pixel by pixel."""
    x, (gx, gy) = drawn(1, 2, 60, 75), (20.0, 33.0)
    got = acuity(x, (gx, gy), per_degree=10.0, levels=6)[0].numpy()
    peaks = [0.5 / 2**i for i in range(6)]
    stack = [x[0].numpy()]
    for h in peaks[1:]:
        sigma = math.sqrt(math.log(2) / 2) / (math.pi * h)
        stack.append(ndimage.gaussian_filter(x[0].numpy(), (0, sigma, sigma), mode="nearest", truncate=4))
    for i in range(0, 60, 7):
        for j in range(0, 75, 7):
            e = math.hypot(j + 0.5 - gx, i + 0.5 - gy) / 10
            f = min(0.5, max(peaks[-1], math.log(64) / (0.106 * (1 + e / 2.3)) / 10))
            k = next(k for k in range(1, 6) if f > peaks[k] or k == 5)
            fine, coarse = (2 ** -((f / h) ** 2) for h in (peaks[k - 1], peaks[k]))
            share = (0.5 - coarse) / (fine - coarse)
            want = share * stack[k - 1][:, i, j] + (1 - share) * stack[k][:, i, j]
            assert np.abs(got[:, i, j] - want).max() < 2e-3  # the two Gaussians are cut off at other pixels


def test_weights_pass_half_of_the_contrast_and_sum_to_one() -> None:
    f = torch.linspace(0.001, 0.7, 500, dtype=torch.float64).view(1, 1, -1)
    share = weights(f, 7)
    assert share.min() >= 0
    assert (share.sum(1) - 1).abs().max() < 1e-12
    peaks = torch.tensor([0.5 / 2**i for i in range(7)], dtype=torch.float64)
    passed = (share[0, :, 0] * torch.exp2(-((f[0] / peaks[:, None]) ** 2))).sum(0)
    inside = (f[0, 0] <= 0.5) & (f[0, 0] >= peaks[-1])
    assert (passed[inside] - 0.5).abs().max() < 1e-12


def test_a_grating_survives_up_to_the_cut_off() -> None:
    """Its contrast falls with eccentricity, to one half within 5 % of where f_c is its frequency."""
    period, per_degree = 6.0, 8.0
    x = 0.5 + 0.5 * torch.cos(2 * math.pi * torch.arange(601, dtype=torch.float64) / period).expand(1, 1, 41, 601)
    row = acuity(x, (0.5, 20.5), per_degree=per_degree)[0, 0, 20]
    contrast = (row.unfold(0, 12, 6).amax(1) - row.unfold(0, 12, 6).amin(1)).numpy()
    middle = np.arange(len(contrast)) * 6 + 6.0
    assert (np.diff(contrast) < 0.01).all()
    half = 2.3 * (math.log(64) / (0.106 * per_degree / period) - 1) * per_degree
    assert middle[np.argmax(contrast < 0.5)] == pytest.approx(half, rel=0.05)


def test_the_fovea_is_exact_and_without_a_fovea_all_is() -> None:
    x = drawn(1, 3, 40, 60)
    kept = acuity(x, (30.0, 20.0), per_degree=70.0)
    sharp = cutoff(eccentricity((30.0, 20.0), x) / 70.0)[0] / 70.0 >= 0.5
    assert 0 < sharp.sum() < sharp.numel()
    assert torch.equal(kept[..., sharp], x[..., sharp])
    assert not torch.equal(kept, x)
    assert torch.equal(acuity(x, (30.0, 20.0), per_degree=24.0, half=math.inf), x)


def test_of_two_fixations_the_nearer_counts() -> None:
    x = drawn(1, 1, 40, 60)
    both = acuity(x, torch.tensor([[[10.0, 20.0], [50.0, 20.0]]]), per_degree=3.0)
    left, right = (acuity(x, (at, 20.0), per_degree=3.0) for at in (10.0, 50.0))
    assert torch.allclose(both[..., :30], left[..., :30])
    assert torch.allclose(both[..., 30:], right[..., 30:])


@pytest.mark.slow
def test_gradients() -> None:
    x = drawn(1, 1, 6, 7).requires_grad_()
    at = torch.tensor([3.3, 4.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda p, g: acuity(p, g, per_degree=1.0, levels=4), (x, at), eps=1e-7, atol=1e-5, fast_mode=True
    )


def test_blur_doubles_with_each_level_and_refusals() -> None:
    assert sigma_of(0) == 0
    assert sigma_of(3) == 2 * sigma_of(2)
    assert math.exp(-2 * (math.pi * sigma_of(1) * 0.25) ** 2) == pytest.approx(0.5)
    for options, text in (({"per_degree": 0.0}, "per_degree=0"), ({"half": 0.0}, "half=0"), ({"levels": 1}, "levels")):
        with pytest.raises(LayoutError, match=text):
            acuity(drawn(1, 1, 5, 5), (2.0, 2.0), **options)
