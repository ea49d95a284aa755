from __future__ import annotations

from functools import partial

import pytest
import torch
from scipy import stats

import regard as rg
from regard.metrics.saco import coefficient

from .additive import as_map, make_linear


def slow(saliences: list[float], losses: list[float]) -> float:
    """The paper's pair loop."""
    f, size = 0.0, 0.0
    for i in range(len(saliences)):
        for j in range(i + 1, len(saliences)):
            weight = saliences[i] - saliences[j]
            f += weight if losses[i] >= losses[j] else -weight
            size += abs(weight)
    return f / size


def score(values: torch.Tensor, seed: int = 0, groups: int = 4, rounds: int = 6) -> rg.Score:
    model, x, _ = make_linear(seed)
    bank = rg.masks(model, x, as_map(values), baseline="mean", groups=groups, rounds=rounds, each=4)
    return rg.score(as_map(values), model, x, metric="saco", bank=bank)


def test_it_equals_the_pair_loop_over_groups_removed_alone() -> None:
    contributions = make_linear()[2]
    values = torch.randn(12, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    order = values.argsort(descending=True)
    groups = [order[i : i + 3] for i in range(0, 12, 3)]
    losses = [float(contributions[g].sum()) for g in groups]
    got = score(values)
    assert got.value == pytest.approx(slow([float(values[g].sum()) for g in groups], losses))
    assert "4 groups of 12 cells, mean baseline, null SD" in got.convention


def test_own_contributions_reach_one_and_their_negative_minus_one() -> None:
    contributions = make_linear()[2]
    assert score(contributions).value == pytest.approx(1)
    assert score(-contributions).value == pytest.approx(-1)
    for groups in (4, 5):  # 5 does not divide 12
        moved, still = (score(v, groups=groups).value for v in (3 * contributions + 2, contributions))
        assert moved == pytest.approx(still)
    bent = torch.randn(12, generator=torch.Generator().manual_seed(7), dtype=torch.float64).abs()
    assert score(bent**2).value != pytest.approx(score(bent).value)  # a monotone curve does change it


def test_a_constant_map_has_no_order() -> None:
    assert coefficient(torch.ones(4), torch.rand(3, 4, generator=torch.Generator())).tolist() == [0, 0, 0]


@pytest.mark.slow
def test_p_values_of_random_maps_are_uniform() -> None:
    """Over 200 random maps; the metrics share one bank a map. Held at 0, the scale of infidelity makes ties, which
    count against the map: there p is too large, never too small."""
    model, x, _ = make_linear(4)
    g = torch.Generator().manual_seed(11)
    optimal = partial(rg.metrics.infidelity, scaling="optimal")
    metrics = ("saco", "mu_fidelity", optimal, "sensitivity_n", "infidelity")
    found: list[list[float]] = [[] for _ in metrics]
    for i in range(200):
        heat = as_map(torch.randn(12, generator=g, dtype=torch.float64))
        bank = rg.masks(model, x, heat, baseline="mean", rounds=20, groups=4, each=16, seed=i)
        for p, metric in zip(found, metrics, strict=True):
            p.append(rg.score(heat, model, x, metric=metric, bank=bank, orders=199, seed=i).p)
    for p, metric in zip(found[:4], metrics, strict=False):
        assert stats.kstest(p, "uniform").pvalue > 0.01, metric
    assert stats.kstest(found[4], "uniform", alternative="greater").pvalue > 0.01  # no excess of small ones
