"""The best map for each metric: each metric prefers its own, on fixations drawn from a known density."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from regard.errors import DegenerateError, LayoutError, MethodError
from regard.gaze import metrics
from regard.gaze.optimal_map import optimal

SIGMA = 2.0


def density(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    p = ndimage.gaussian_filter(rng.exponential(size=(30, 40)) ** 3, 1.2) + 1e-4
    return p / p.sum()


def test_each_metric_ranks_its_own_map_first() -> None:
    p, base = density(), ndimage.gaussian_filter(density(5), 6)
    base /= base.sum()
    names = ("auc", "sauc", "nss", "cc", "kld", "sim")
    maps = {n: torch.from_numpy(optimal(p, n, sigma=SIGMA, baseline=base, fixations=12)) for n in names}
    totals = {n: dict.fromkeys(names, 0.0) for n in names}
    rng = np.random.default_rng(1)
    for _ in range(80):
        at, away = (rng.choice(p.size, 12 * k, p=q.ravel()) for k, q in ((1, p), (5, base)))
        points, others = (torch.from_numpy(np.stack([i % 40, i // 40], 1) + 0.5) for i in (at, away))
        truth = ndimage.gaussian_filter(
            np.bincount(at, minlength=p.size).reshape(p.shape).astype(float), SIGMA, mode="constant"
        )
        for judge in names:
            given = {"others": others, "points": points, "truth": torch.from_numpy(truth)}
            for name, one in maps.items():
                shown = one - one.min() if name == "sauc" else one
                wanted = {"auc": ("points",), "nss": ("points",), "sauc": ("points", "others")}.get(judge, ("truth",))
                totals[judge][name] += float(getattr(metrics, judge)(shown, *(given[w] for w in wanted)))
    for judge, scores in totals.items():
        signed = {n: (-s if judge == "kld" else s) for n, s in scores.items()}
        best = max(signed.values())
        assert signed[judge] >= best - 1e-9 * abs(best), (judge, list(signed.items()))


def test_auc_map_is_monotone_and_flat() -> None:
    p = density()
    one = optimal(p, "auc")
    assert np.array_equal(np.argsort(one.ravel(), kind="stable"), np.argsort(p.ravel(), kind="stable"))
    assert np.histogram(one, 10, (0, 1))[0].std() < 1


def test_refusals() -> None:
    p = density()
    with pytest.raises(MethodError, match="no optimal map for named 'emd'"):
        optimal(p, "emd")
    with pytest.raises(DegenerateError, match="no density"):
        optimal(2 * p, "nss")
    with pytest.raises(LayoutError, match="shuffled AUC needs"):
        optimal(p, "sauc")
    with pytest.raises(LayoutError, match="cc needs the blur"):
        optimal(p, "cc")
