from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from skimage import color

from regard.gaze.predictors import frequency_tuned

from .tools import drawn


def test_equals_the_formula() -> None:
    """With the mean of Lab: a public port takes the mean of RGB, which must not pass."""
    x = drawn()
    weights = np.array([1, 4, 6, 4, 1]) / 16
    for i in range(2):
        picture = x[i].permute(1, 2, 0).numpy()
        lab = color.rgb2lab(picture)
        smooth = ndimage.correlate1d(ndimage.correlate1d(lab, weights, 0, mode="nearest"), weights, 1, mode="nearest")
        want = np.linalg.norm(lab.mean((0, 1)) - smooth, axis=-1)
        got = frequency_tuned(x).values[i].numpy()
        assert np.abs(got - want).max() < 1e-3
        wrong = np.linalg.norm(picture.mean((0, 1)) - smooth, axis=-1)
        assert np.abs(got - wrong).max() > 1


def test_an_odd_colour_stands_out() -> None:
    x = torch.full((1, 3, 20, 20), 0.5)
    x[0, 0, 5:9, 10:14] = 1.0
    assert divmod(int(frequency_tuned(x).values.argmax()), 20)[0] in range(5, 9)
