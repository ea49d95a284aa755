from __future__ import annotations

import numpy as np
import torch
from scipy import fft, ndimage

from regard.gaze.predictors import signature
from regard.gaze.predictors.signature import cosines

from .tools import drawn


def test_equals_scipys_transforms() -> None:
    x = drawn()
    got = signature(x, space="rgb").values[1].numpy()
    back = [fft.idctn(np.sign(fft.dctn(c.numpy(), norm="ortho")), norm="ortho") for c in x[1]]
    want = ndimage.gaussian_filter(sum(b**2 for b in back), 0.045 * 53, mode="nearest")
    assert np.abs(got - want).max() < 2e-3 * want.max()
    assert not torch.allclose(signature(x).values, signature(x, space="rgb").values, rtol=0.01)


def test_a_sparse_figure_on_a_ground_of_few_cosines() -> None:
    g = torch.Generator().manual_seed(0)
    for _ in range(5):
        spectrum = torch.zeros(60, 64, dtype=torch.float64)
        spectrum[torch.randint(1, 60, (8,), generator=g), torch.randint(1, 64, (8,), generator=g)] = 3.0
        ground = cosines(60).T @ spectrum @ cosines(64)
        picture = 0.5 + 0.1 * ground
        top, left = (int(torch.randint(5, 50, (1,), generator=g)) for _ in "yx")
        picture[top : top + 4, left : left + 4] += 0.25 * torch.randn(4, 4, generator=g, dtype=torch.float64).sign()
        heat = signature(picture.clamp(0, 1).expand(1, 3, -1, -1).contiguous(), space="rgb").values[0]
        row, column = divmod(int(heat.argmax()), 64)
        assert abs(row - top - 2) <= 3
        assert abs(column - left - 2) <= 3
