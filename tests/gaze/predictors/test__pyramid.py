from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from regard.gaze.predictors._pyramid import colours, gabors, oriented, pyramid, sized

from .tools import drawn


def test_levels_are_blurred_and_thinned() -> None:
    x = drawn()
    weights = np.array([1, 4, 6, 4, 1]) / 16
    one = ndimage.correlate1d(
        ndimage.correlate1d(x[1, 2].numpy(), weights, 0, mode="nearest"), weights, 1, mode="nearest"
    )
    levels = pyramid(x, 3)
    assert np.allclose(levels[1][1, 2].numpy(), one[::2, ::2])
    assert [t.shape[-1] for t in levels] == [53, 27, 14, 7]


def test_gratings_answer_to_their_own_angle() -> None:
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(40.0), indexing="ij")
    for at, (a, b) in enumerate([(1, 0), (0.7071, 0.7071), (0, 1), (-0.7071, 0.7071)]):
        wave = torch.cos(2 * torch.pi * (a * x + b * y) / 7)[None, None]
        energy = oriented(wave)[0, :, 10:30, 10:30].mean((1, 2))
        assert int(energy.argmax()) == at
        assert energy.max() > 2.5 * energy.sort().values[-2]
    filters = gabors(torch.zeros(1, dtype=torch.float64))
    assert filters.sum((2, 3)).abs().max() < 1e-12
    assert torch.allclose(filters.square().sum((2, 3)), torch.ones(8, 1, dtype=torch.float64))


def test_colours_do_not_depend_on_brightness() -> None:
    x = drawn()
    assert torch.allclose(colours(x)[1], colours(x / 2)[1])
    dark = x.clone()
    dark[:, :, 0, 0] = 1e-3
    assert colours(dark)[1][:, :, 0, 0].abs().max() == 0
    assert sized(x, (4, 5)).shape[-2:] == (4, 5)
