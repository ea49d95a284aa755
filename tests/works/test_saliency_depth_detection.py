"""saliency-depth-detection works: the mean correlation of maps with object masks, and how it grows with the object."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import regard as rg
from regard.gaze.object_correlation import object_correlation
from regard.testing.marks import works

SIDE, SIDES = 192, (8, 16, 32, 64)


def scene(side: int, seed: int) -> tuple[torch.Tensor, np.ndarray]:
    """A textured ground, a square of another colour somewhere on it, and the square's mask."""
    rng = np.random.default_rng(seed)
    texture = F.avg_pool2d(torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed)), 5, 1, 2) - 0.5
    x = torch.tensor(rng.uniform(0.3, 0.7, 3), dtype=torch.float32)[None, :, None, None] + 0.3 * texture
    top, left = rng.integers(8, SIDE - side - 8, 2)
    part = (slice(top, top + side), slice(left, left + side))
    x[:, :, *part] += torch.tensor(rng.choice([-0.25, 0.25], 3), dtype=torch.float32)[None, :, None, None]
    mask = np.zeros((SIDE, SIDE))
    mask[part] = 1
    return x.clamp(0, 1), mask


@works("saliency-depth-detection")
@pytest.mark.parametrize("seed", [0, 100, 200])
def test_correlation_grows_with_the_object(seed: int) -> None:
    """For the Itti map, from 4 to 33 % of the picture's side; 1 for a mask with itself; NumPy's Pearson by class.

    It falls again for objects of half the side, whose inside is flat: that is not shown here.
    """
    maps, masks = [], []
    for side in SIDES:
        for i in range(12):
            x, mask = scene(side, seed + i)
            heat = torch.from_numpy(rg.gaze.predict(x, "itti").values)
            maps.append(F.interpolate(heat[:, None], size=mask.shape, mode="bilinear")[0, 0].numpy())
            masks.append({f"side {side}": mask})
    table = object_correlation(maps, masks)
    found = table.column("correlation")[:-1]
    assert all(small < large for small, large in pairwise(found)), found
    assert found[-1] > found[0] + 0.25
    plain = [np.corrcoef(m.ravel(), next(iter(s.values())).ravel())[0, 1] for m, s in zip(maps, masks, strict=True)]
    assert found == pytest.approx(np.reshape(plain, (len(SIDES), 12)).mean(1))
    own = object_correlation([next(iter(s.values())) for s in masks], masks)
    assert own.column("correlation") == pytest.approx([1.0] * (len(SIDES) + 1))
