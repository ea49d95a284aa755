from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest
import torch
from scipy.stats import spearmanr

import regard as rg
from regard.errors import LayoutError, MethodError
from regard.metrics._alike import layers_of
from regard.metrics.mprt import _check

from .regions import MODEL, X


def score(method: str = "gradient", **options: Any) -> rg.Score:
    heat = rg.explain(MODEL, X, method=method, target=1)
    return rg.score(heat, MODEL, X, metric=partial(rg.metrics.mprt, **options), orders=19)


def test_the_cascade_equals_models_randomised_by_hand() -> None:
    got = score(layers=3, seeds=1)
    twin, g = copy.deepcopy(MODEL), torch.Generator().manual_seed(0)
    own = rg.explain(MODEL, X, method="gradient", target=1).values.ravel()
    slow = []
    for name in layers_of(MODEL):
        with torch.no_grad():
            for p in twin.get_submodule(name).parameters(recurse=False):
                p.copy_(p.flatten()[torch.randperm(p.numel(), generator=g)].view_as(p))
        slow.append(spearmanr(own, rg.explain(twin, X, method="gradient", target=1).values.ravel()).statistic)
    assert got.curve[1] == pytest.approx(slow)
    assert got.value == pytest.approx(sum(slow) / 3)
    assert got.forwards == 3


def test_a_map_that_ignores_the_weights_fails_and_one_that_reads_them_does_not() -> None:
    """The planted fault is a method that only looks at the picture: similarity 1 at every layer."""
    reads = score(layers=3, seeds=3)
    assert reads.value < 0.9
    assert reads.se is not None

    from regard.mechanisms import ALL
    from regard.registry import find
    from regard.subjects import run
    from regard.subjects.bank import Draw
    from regard.subjects.evidence import Evidence
    from regard.subjects.forward import Subject

    edges = rg.Map(X[:, 0].diff(dim=1).numpy(), rg.Grid(31, 32), "edges", target_index=(1,))
    given = Evidence(Subject(MODEL, X, ALL), edges, draw=Draw(9), explain=lambda on, **_: edges)
    blind = run.score(find("metrics", partial(rg.metrics.mprt, layers=3, seeds=2)), given)
    assert blind.value == pytest.approx(1)
    assert blind.p == 1


def test_independent_smooth_and_efficient_variants() -> None:
    alone = score(order="independent", layers=3, seeds=1)
    assert alone.curve[1][0] == pytest.approx(score(layers=3, seeds=1).curve[1][0])  # the first layer is the same
    assert "8 noisy" in score(layers=2, seeds=1, denoise=8).convention
    rise = score(layers=2, seeds=2, entropy=True)
    assert rise.direction == "higher"
    assert "rise of entropy" in rise.convention


def test_what_mprt_refuses() -> None:
    with pytest.raises(MethodError, match="casade"):
        _check("casade", "rank", 6, 3, 0)
    with pytest.raises(LayoutError, match="1 layers, 3 seeds"):
        score(layers=1)
