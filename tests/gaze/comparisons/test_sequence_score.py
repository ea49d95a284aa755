from __future__ import annotations

import pytest
import torch

from regard.errors import LayoutError
from regard.gaze.comparisons import sequence_score
from regard.gaze.comparisons.sequence_score import mean_shift


def test_planted_clusters_are_recovered() -> None:
    g = torch.Generator().manual_seed(0)
    planted = torch.tensor([[50.0, 50.0], [250.0, 60.0], [120.0, 250.0]])
    points = (planted[:, None] + 8 * torch.randn(3, 40, 2, generator=g)).reshape(-1, 2)
    found = mean_shift(points, 60.0)
    assert len(found) == 3
    assert torch.cdist(planted, found).min(1).values.max() < 5
    with pytest.raises(LayoutError, match="bandwidth=0"):
        mean_shift(points, 0.0)


def test_strings_of_clusters() -> None:
    spots = {"a": (50.0, 50.0), "b": (250.0, 60.0), "c": (120.0, 250.0)}
    g = torch.Generator().manual_seed(1)

    def path(word: str) -> torch.Tensor:
        xy = torch.tensor([spots[c] for c in word]) + 5 * torch.randn(len(word), 2, generator=g)
        return torch.cat([xy, torch.full((len(word), 1), 0.2)], 1)

    assert float(sequence_score(path("abcab"), path("abcab"))) == pytest.approx(1)
    assert float(sequence_score(path("abcab"), path("acb"))) == pytest.approx(3 / 5)
    assert float(sequence_score(path("aaa"), path("bb"))) == 0
    one = torch.tensor([[0.0, 0.0]])  # a single centre makes all alike
    assert float(sequence_score(path("abc"), path("cba"), centres=one)) == 1
