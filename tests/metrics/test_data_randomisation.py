from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard as rg
from regard.errors import LayoutError
from regard.subjects.controls import shuffled_twin
from regard.testing.planted import PlantedCNN, planted_pictures

X = planted_pictures([(2, 5)])


def scored(train: object, method: str = "gradient", **options: object) -> rg.Score:
    model = PlantedCNN()
    heat = rg.explain(model, X, method=method, target=1)
    metric = partial(rg.metrics.data_randomisation, train=train, **options)  # type: ignore[arg-type]
    return rg.score(heat, model, X, metric=metric)


def test_it_is_the_mean_similarity_over_trainings() -> None:
    def train(seed: int) -> nn.Module:
        return shuffled_twin(PlantedCNN(), seed)

    got = scored(train, seeds=4)
    own = rg.explain(PlantedCNN(), X, method="gradient", target=1).values[0].ravel()
    others = [rg.explain(train(s), X, method="gradient", target=1).values[0].ravel() for s in range(4)]
    from scipy.stats import spearmanr

    each = torch.tensor([spearmanr(own, other).statistic for other in others])
    assert got.value == pytest.approx(float(each.mean()))
    assert got.se == pytest.approx(float(each.std() / 2))
    assert got.direction == "lower"
    assert scored(lambda _: PlantedCNN()).value == pytest.approx(1)


def test_no_training_and_no_seed_are_refused() -> None:
    with pytest.raises(LayoutError, match="no training to repeat"):
        scored(None)
    with pytest.raises(LayoutError, match="0 trainings"):
        scored(lambda _: PlantedCNN(), seeds=0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [9, 10, 11])
def test_a_map_of_what_was_learnt_follows_the_labels(seed: int) -> None:
    """Logistic regression on a smooth pattern, trained in a second: on permuted labels its contributions lie elsewhere,
    on other pictures with true labels they lie alike."""

    def train(seed: int, permuted: bool = True) -> nn.Module:
        g = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2, bias=False)).double()
        nn.init.zeros_(net[1].weight)  # type: ignore[arg-type]
        x = torch.randn(1000, 1, 8, 8, generator=g, dtype=torch.float64)
        smooth = torch.linspace(-1, 1, 8).double()
        label = ((x[:, 0] * smooth * smooth[:, None]).sum((1, 2)) > 0).long()
        label = label[torch.randperm(1000, generator=g)] if permuted else label
        step = torch.optim.Adam(net.parameters(), 0.02)
        for _ in range(40):
            step.zero_grad()
            F.cross_entropy(net(x), label).backward()
            step.step()
        return net.eval()

    model = train(seed, permuted=False)
    x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    heat = rg.explain(model, x, method="input_x_gradient", target=1)
    for wanted, way in ((False, train), (True, partial(train, permuted=False))):
        got = rg.score(heat, model, x, metric=partial(rg.metrics.data_randomisation, train=way))
        assert (got.value > 0.6) == wanted, got
