from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage

from regard.runs.controls import edges, plain_controls
from regard.testing.planted import planted_pictures

X = planted_pictures([(2, 5)])


def test_edges_are_sobels() -> None:
    grey = X.double().mean(1)[0].numpy()
    slow = np.hypot(*(ndimage.sobel(grey, axis=a, mode="nearest") for a in (0, 1)))
    np.testing.assert_allclose(edges(X)[0], slow, atol=1e-12)


def test_controls_lie_on_the_grid_and_random_is_seeded() -> None:
    a, b, c = (plain_controls(X, 4, 6, seed) for seed in (0, 0, 1))
    assert {v.shape for v in a.values()} == {torch.Size([4, 6])}
    assert torch.equal(a["random"], b["random"])
    assert not torch.equal(a["random"], c["random"])
    assert a["centre"].argmax() in (8, 9, 14, 15)
