from __future__ import annotations

import pytest
import torch
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity

from regard.metrics._alike import alike, layers_of, randomised
from regard.testing.planted import PlantedCNN

from .regions import random_map


def test_rank_similarity_equals_scipys_with_ties() -> None:
    one = random_map(0).round(decimals=0)
    others = torch.stack([random_map(1).round(decimals=0), -one, torch.ones(8, 8, dtype=torch.float64)])
    got = alike(one, others, "rank")
    assert got[0] == pytest.approx(spearmanr(one.flatten(), others[0].flatten()).statistic)
    assert got[1] == pytest.approx(-1)
    assert got[2] == 0
    assert alike(one, others, "absolute rank")[1] == pytest.approx(1)


def test_ssim_equals_skimages() -> None:
    one, other = (random_map(i) for i in (0, 1))
    a, b = ((v - v.min()) / (v.max() - v.min()) for v in (one, other))
    slow = structural_similarity(a.numpy(), b.numpy(), data_range=1.0)
    assert alike(one, other[None], "ssim")[0] == pytest.approx(slow)


def test_layers_are_randomised_from_the_output_down() -> None:
    model = PlantedCNN()
    names = layers_of(model)
    assert names == ["head", "features", "stem"]
    for cascade in (True, False):
        made = list(randomised(model, names, torch.Generator().manual_seed(0), cascade=cascade))
        for i, (name, twin) in enumerate([made[-1]] if cascade else made):
            changed = [n for n in names if not torch.equal(getattr(twin, n).weight, getattr(model, n).weight)]
            assert changed == (names if cascade else [names[i]])
            assert name == (names[-1] if cascade else names[i])
    assert torch.equal(
        twin.stem.weight.sort().values.flatten().sort().values, model.stem.weight.flatten().sort().values
    )
