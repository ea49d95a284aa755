from __future__ import annotations

import pytest
import torch

from regard.errors import LayoutError
from regard.gaze.comparisons import scanmatch
from regard.gaze.comparisons._shared import symbols

from .tools import SIZE, drawn


def best(a: list[list[int]], b: list[list[int]], threshold: float, gap: float) -> float:
    if not a or not b:
        return gap * (len(a) + len(b))
    gain = threshold - ((a[0][0] - b[0][0]) ** 2 + (a[0][1] - b[0][1]) ** 2) ** 0.5
    return max(
        best(a[1:], b[1:], threshold, gap) + gain,
        best(a[1:], b, threshold, gap) + gap,
        best(a, b[1:], threshold, gap) + gap,
    )


@pytest.mark.parametrize("gap", [0.0, -1.5])
def test_the_best_of_all_alignments(gap: float) -> None:
    for seed in range(5):
        one, two = drawn(seed)
        a, b = (symbols(p, SIZE, (12, 8)).tolist() for p in (one, two))
        want = best(a, b, 3.5, gap) / (3.5 * 5)
        assert float(scanmatch(one, two, SIZE, gap=gap)) == pytest.approx(want)


def test_time_bins_repeat_cells() -> None:
    one = torch.tensor([[5.0, 5.0, 0.2], [75.0, 55.0, 0.1]])
    other = torch.tensor([[5.0, 5.0, 0.1], [75.0, 55.0, 0.2]])
    assert float(scanmatch(one, other, SIZE)) == pytest.approx(1)
    assert float(scanmatch(one, other, SIZE, bin_seconds=0.1)) == pytest.approx(2 / 3)
    one[0, 2] = float("nan")
    with pytest.raises(LayoutError, match="known durations"):
        scanmatch(one, other, SIZE, bin_seconds=0.1)
    with pytest.raises(LayoutError, match=r"gap=1\.0"):
        scanmatch(one, other, SIZE, gap=1.0)
