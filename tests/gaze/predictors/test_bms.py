from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from regard.gaze.predictors import bms
from regard.gaze.predictors.bms import closed, whitened

from .tools import drawn


def flooded(mask: np.ndarray) -> np.ndarray:
    """What a flood of the mask from the border does not reach."""
    reached = np.zeros_like(mask)
    stack = [(y, x) for y, x in np.argwhere(mask) if y in (0, mask.shape[0] - 1) or x in (0, mask.shape[1] - 1)]
    while stack:
        y, x = stack.pop()
        if not reached[y, x]:
            reached[y, x] = True
            near = [(y + a, x + b) for a in (-1, 0, 1) for b in (-1, 0, 1)]
            stack += [(a, b) for a, b in near if 0 <= a < mask.shape[0] and 0 <= b < mask.shape[1] and mask[a, b]]
    return mask & ~reached


def test_closed_is_what_no_flood_reaches() -> None:
    rng = np.random.default_rng(0)
    for share in (0.2, 0.35, 0.5):
        mask = rng.random((23, 31)) < share
        assert np.array_equal(closed(mask), flooded(mask))


def test_whitening() -> None:
    flat = whitened(drawn(1)[0]).flatten(1)
    assert torch.allclose(flat @ flat.T / flat.shape[1], torch.eye(3, dtype=flat.dtype), atol=1e-4)


def test_equals_its_slow_form() -> None:
    x = drawn(1, 30, 40)
    x = torch.nn.functional.avg_pool2d(x, 5, 1, 2)
    total = np.zeros((30, 40))
    from regard.gaze.predictors._shared import lab

    for channel in whitened(lab(x)[0]).numpy():
        levels = np.rint(255 * (channel - channel.min()) / np.ptp(channel))
        for threshold in range(0, 255, 8):
            for side in (levels > threshold, levels <= threshold):
                inside = flooded(side)
                if inside.any():
                    grown = ndimage.binary_dilation(inside, np.ones((7, 7)))
                    total += grown / np.sqrt(grown.sum())
    want = ndimage.gaussian_filter(ndimage.grey_dilation(total, size=(9, 9)), 9.0, mode="nearest")
    assert np.abs(bms(x, width=40).values[0].numpy() - want).max() < 2e-3 * want.max()


def test_a_closed_figure_is_found_and_one_at_the_border_is_not() -> None:
    x = torch.full((1, 3, 60, 60), 0.4)
    x[:, 0, 20:30, 35:45] = 0.9
    x[:, 0, 45:60, 5:15] = 0.9  # as odd, but it touches the border
    values = bms(x, sigma=1.0).values[0]
    assert values[25, 40] > 0
    assert values[52, 10] < 1e-3 * values[25, 40]
