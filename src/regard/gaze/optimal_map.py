"""The best map that a density can hand in to each metric: none of them asks for the same map."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from regard.errors import DegenerateError, LayoutError, MethodError

Array = NDArray[Any]
METRICS = ("auc", "auc_judd", "auc_borji", "sauc", "sauc_borji", "nss", "cc", "kld", "sim", "information_gain")


def optimal(
    density: Array,
    metric: str,
    *,
    sigma: float | None = None,
    baseline: Array | None = None,
    fixations: int = 100,
    steps: int = 100,
    seed: int = 0,
) -> Array:
    """The map `[h, w]` with the highest expected score under `metric` if people look as `density` says.

    AUC: p's ranks, equalised · sAUC: log p - log of the other pictures' density (`baseline`) · NSS and information
    gain: p · CC and KL: p blurred by the `sigma` that will blur the fixations · SIM: ascent on the expected score over
    drawn sets of `fixations` points, started from the blurred p (`steps` of them, at least one, `seed`).

    density: none negative, sum 1. Raises DegenerateError for what is no density, LayoutError for what a metric needs
    and was not given, MethodError for another metric. Source: Kümmerer, Wallis and Bethge 2018.

    >>> p = np.array([[0.1, 0.2], [0.3, 0.4]])
    >>> optimal(p, "auc")
    array([[0.125, 0.375],
           [0.625, 0.875]])
    """
    p = np.asarray(density, dtype=np.float64)
    if metric not in METRICS:
        raise MethodError.unknown("optimal map for", metric, METRICS, see=f"one of {', '.join(METRICS)}")
    if p.ndim != 2 or not np.isfinite(p).all() or p.min() < 0 or abs(p.sum() - 1) > 1e-3:
        raise DegenerateError("the map is no density [h, w]", hint="none negative, sum 1")
    if metric.startswith("auc"):
        return _equalised(p)
    if metric.startswith("sauc"):
        if baseline is None or baseline.shape != p.shape:
            raise LayoutError(
                "shuffled AUC needs the other pictures' density", hint="baseline=centre_prior(...).density"
            )
        tiny = np.finfo(float).tiny
        return np.log(np.maximum(p, tiny)) - np.log(np.maximum(baseline, tiny))
    if metric in ("nss", "information_gain"):
        return p
    if sigma is None or not sigma > 0:
        raise LayoutError(f"{metric} needs the blur of the fixations, got sigma={sigma}", hint="sigma in pixels")
    smooth = ndimage.gaussian_filter(p, sigma, mode="constant")
    smooth /= smooth.sum()
    return _similar(p, smooth, sigma, fixations, steps, seed) if metric == "sim" else smooth


def _equalised(p: Array) -> Array:
    """Each value's rank among all, ties in the middle, in 0..1."""
    from scipy.stats import rankdata

    ranks: Array = (rankdata(p).reshape(p.shape) - 0.5) / p.size
    return ranks


def _similar(p: Array, start: Array, sigma: float, count: int, steps: int, seed: int) -> Array:
    """Stochastic ascent on E[sum min(S, G)] over empirical maps G that p would give: the gradient is P(S < G).

    Each step sees eight new maps (the same ones again would be learned by heart) and the later half of the steps is
    averaged. The start is kept if it does better on maps that no step has seen.
    """
    rng = np.random.default_rng(seed)

    def drawn(many: int) -> Array:
        points = rng.multinomial(count, p.ravel() / p.sum(), many).reshape(-1, *p.shape).astype(np.float64)
        truths = np.stack([ndimage.gaussian_filter(one, sigma, mode="constant") for one in points])
        return truths / truths.sum((1, 2), keepdims=True)

    now, total = start, np.zeros_like(start)
    for step in range(steps):
        pull = (now < drawn(8)).mean(0)
        now = now * np.exp(0.5 / (1 + step) ** 0.5 * (pull - (pull * now).sum()))
        now = now / now.sum()
        total += now * (2 * step >= steps)
    mean = total / total.sum()
    unseen = drawn(32)
    scores = [float(np.minimum(one, unseen).sum()) for one in (start, mean)]
    return mean if scores[1] > scores[0] else start
