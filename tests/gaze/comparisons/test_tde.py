from __future__ import annotations

import numpy as np
import pytest

from regard.errors import DegenerateError, LayoutError
from regard.gaze.comparisons import tde

from .tools import SIZE, drawn


@pytest.mark.parametrize("window", [1, 2, 3])
def test_every_piece_to_its_nearest(window: int) -> None:
    one, two = drawn(3, 6, 5)
    a, b = one[:, :2].numpy(), two[:, :2].numpy()
    nearest = []
    for i in range(6 - window + 1):
        gaps = [np.linalg.norm(a[i : i + window] - b[j : j + window]) for j in range(5 - window + 1)]
        nearest.append(min(gaps) / window)
    assert float(tde(one, two, window=window)) == pytest.approx(np.mean(nearest))
    assert float(tde(one, two, window=window, size=SIZE)) == pytest.approx(np.mean(nearest) / 100)


def test_order_counts_from_two_on() -> None:
    one, _ = drawn(3)
    assert float(tde(one, one.flip(0), window=1)) == 0
    assert float(tde(one, one.flip(0))) > 0
    with pytest.raises(DegenerateError, match="a path of 5 fixations, window 6"):
        tde(one, one, window=6)
    with pytest.raises(LayoutError, match="window=0"):
        tde(one, one, window=0)
