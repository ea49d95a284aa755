from __future__ import annotations

import torch

from regard.explainers._moments import moments
from regard.explainers._pixels import noise
from regard.mechanisms import ALL
from regard.subjects.forward import Subject
from regard.subjects.scorer import Scorer

from .models import Net, draw, slope


def test_mean_and_deviations_are_those_of_explicit_samples() -> None:
    """The slow form: all noisy gradients at once. 11 samples of 3 pictures do not fill the scorer's batches evenly."""
    model, x = Net(bias=True), draw(3, 3, 9, 7)
    score = Scorer(Subject(model, x, ALL), 1)
    got = moments(score, x, torch.Generator().manual_seed(4), 11, 0.3)
    generator = torch.Generator().manual_seed(4)
    all_of_them = torch.stack([slope(model, x + noise(x, 0.3, generator)) for _ in range(11)])
    torch.testing.assert_close(got.mean, all_of_them.mean(0))
    torch.testing.assert_close(got.deviations / 11, all_of_them.var(0, unbiased=False))
    assert score.count == 3 + 33
