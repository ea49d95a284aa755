"""The mathematics of the plane against its slow forms: what leaves attention alone, and what mirrors it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from regard.errors import DegenerateError
from regard.looking.joint import Pairs, balanced_scale, centre_keys, choose_scale, correlate, project, rescale


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(scope="module")
def queries() -> list[Tensor]:
    return [random(7, 4), random(5, 4, seed=1)]


@pytest.fixture(scope="module")
def keys() -> list[Tensor]:
    return [3 * random(7, 4, seed=2) + 2, 3 * random(5, 4, seed=3) - 1]


def attention(q: Tensor, k: Tensor) -> Tensor:
    return torch.softmax(q @ k.T / 2, -1)


def test_centring_and_scaling_leave_attention_alone_and_move_keys_by_one_vector(
    queries: list[Tensor], keys: list[Tensor]
) -> None:
    moved = centre_keys(keys)
    torch.testing.assert_close(torch.cat(moved).mean(0), torch.zeros(4, dtype=torch.float64))
    steps = torch.cat(keys) - torch.cat(moved)
    torch.testing.assert_close(steps, steps[:1].expand_as(steps))
    for q, k, m in zip(queries, keys, moved, strict=True):
        torch.testing.assert_close(attention(q, m), attention(q, k), rtol=1e-12, atol=1e-14)
        c, d = rescale(q, m, 0.3)
        torch.testing.assert_close(attention(c, d), attention(q, k), rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(c / q, torch.full_like(q, 0.3))


def test_moving_queries_would_change_attention(queries: list[Tensor], keys: list[Tensor]) -> None:
    """The planted fault: only keys may be moved."""
    q, k = queries[0], keys[0]
    assert (attention(q - q.mean(0), k) - attention(q, k)).abs().max() > 0.01


@pytest.mark.parametrize("c", [0.25, 1.0, 1.7])
def test_distances_and_correlation_are_those_of_the_pairs_one_by_one(
    queries: list[Tensor], keys: list[Tensor], c: float
) -> None:
    far, dots = [], []
    for q, k in zip(queries, keys, strict=True):
        for one in q:
            for other in k:
                far.append(float(torch.dist(c * one, other / c)))
                dots.append(float(one @ other))
    pairs = Pairs.of(queries, keys)
    assert len(far) == 7 * 7 + 5 * 5 == len(pairs.dots)
    np.testing.assert_allclose(pairs.distances(c).numpy(), far, rtol=1e-9)
    np.testing.assert_allclose(pairs.dots.numpy(), dots)
    assert pairs.correlation(c) == pytest.approx(np.corrcoef(far, dots)[0, 1], rel=1e-9)


def test_the_balanced_scale_makes_both_equally_large(queries: list[Tensor], keys: list[Tensor]) -> None:
    c = balanced_scale(queries, keys)
    sizes = [sum(float(x.square().sum()) for x in some) for some in ([c * q for q in queries], [k / c for k in keys])]
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-9)


@pytest.mark.parametrize("stretched", [0.2, 1.0, 6.0])
def test_the_chosen_scale_is_the_best_of_a_fine_grid(stretched: float) -> None:
    queries, keys = [random(30, 6) * stretched], [random(30, 6, seed=4) / stretched]
    pairs = Pairs.of(queries, keys)
    around = balanced_scale(queries, keys)
    c = choose_scale(pairs, around)
    best = min(pairs.correlation(around * math.exp(at)) for at in np.linspace(-1.4, 1.4, 300))
    assert pairs.correlation(c) <= best + 1e-6
    assert pairs.correlation(c) <= pairs.correlation(1.0)
    assert around / 2 < c < around * 2, "the plane does not depend on how q and k share their size"


def test_the_plane_is_the_first_two_principal_components() -> None:
    points = random(40, 5) * torch.tensor([5.0, 3.0, 1.0, 0.5, 0.1], dtype=torch.float64) + 7
    plane, share = project(points)
    centred = (points - points.mean(0)).numpy()
    _, s, vt = np.linalg.svd(centred, full_matrices=False)
    wanted = centred @ vt[:2].T
    signs = np.sign((wanted * plane.numpy()).sum(0))
    np.testing.assert_allclose(plane.numpy(), wanted * signs, atol=1e-9)
    assert share == pytest.approx((s[:2] ** 2).sum() / (s**2).sum())
    again, _ = project(points)
    assert torch.equal(plane, again)


def test_the_sign_of_an_axis_is_that_of_its_largest_entry() -> None:
    points = random(40, 3) * torch.tensor([9.0, 3.0, 1.0], dtype=torch.float64)
    plane, _ = project(points)
    for axis in range(2):
        assert np.corrcoef(plane[:, axis], points[:, axis])[0, 1] > 0.9


@pytest.mark.parametrize("width", [1, 3])
def test_flat_points_are_laid_out_as_they_are(width: int) -> None:
    plane, share = project(torch.zeros(4, width, dtype=torch.float64))
    assert not plane.any()
    assert share == 1.0
    line, share = project(random(4, 1))
    assert line[:, 1].abs().max() == 0
    assert share == 1.0


def test_nothing_to_mirror_is_refused() -> None:
    with pytest.raises(DegenerateError, match="are the same: there is nothing to mirror"):
        correlate(torch.zeros(5), torch.arange(5.0))
    assert correlate(torch.arange(5.0), -torch.arange(5.0)) == pytest.approx(-1)
