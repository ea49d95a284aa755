from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy.stats import spearmanr

import regard as rg
from regard.errors import LayoutError
from regard.testing.planted import PlantedViT

from .regions import MODEL, X


def test_it_is_the_mean_similarity_with_maps_of_the_other_classes() -> None:
    heat = rg.explain(MODEL, X, method="gradient", target=1)
    got = rg.score(heat, MODEL, X, metric="random_logit", orders=9)
    others = [rg.explain(MODEL, X, method="gradient", target=c).values.ravel() for c in (0, 2)]
    slow = [spearmanr(heat.values.ravel(), other).statistic for other in others]
    assert got.value == pytest.approx(np.mean(slow))
    assert got.se == pytest.approx(np.std(slow, ddof=1) / 2**0.5)
    assert got.convention == "2 other classes, rank similarity"


def test_a_map_without_a_target_scores_one() -> None:
    model = PlantedViT()
    heat = rg.explain(model, X, method="rollout")
    assert rg.score(heat, model, X, metric="random_logit", target=1).value == pytest.approx(1)
    with pytest.raises(LayoutError, match="0 other classes"):
        rg.score(heat, model, X, metric=partial(rg.metrics.random_logit, classes=0), target=1)
