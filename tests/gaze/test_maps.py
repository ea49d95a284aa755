"""Counts, blur and the centre prior against slow forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from regard.errors import DegenerateError, LayoutError
from regard.gaze.data import Fixations
from regard.gaze.maps import BANDWIDTHS, UNIFORM, bells, blurred, centre_prior, fixation_map


def test_counts_by_hand() -> None:
    seen = Fixations([[0.0, 0.0], [2.9, 1.9], [2.1, 1.0], [3.0, 0.0], [np.nan, 0.0]], size=(2, 3))
    assert fixation_map(seen).tolist() == [[1, 0, 0], [0, 0, 2]]


def test_blur_is_a_sum_of_gaussians() -> None:
    xy = np.random.default_rng(0).uniform(12, 28, (7, 2))
    got = blurred(Fixations(xy, size=(41, 40), per_degree=2.0))
    y, x = np.mgrid[:41, :40]
    slow = sum(np.exp(-((x - int(a)) ** 2 + (y - int(b)) ** 2) / (2 * 2.0**2)) for a, b in xy)
    assert np.abs(got - slow / slow.sum()).max() < 2e-5  # the filter ends at four sigma
    assert not np.allclose(got, blurred(Fixations(xy, size=(41, 40)), sigma=1.0), atol=1e-4)


@pytest.mark.parametrize("sigma", [0.4, 2.3, 24.0])
def test_bells_are_scipys_filter_of_the_counts(sigma: float) -> None:
    """Points that share a pixel, a row or a column, at the edge, and a bell wider than the picture."""
    xy = np.random.default_rng(0).uniform(0, [40, 31], (90, 2))
    xy[1], xy[2] = xy[0], [39.9, 30.9]
    counts = fixation_map(Fixations(xy, size=(31, 40)))
    assert np.allclose(bells(xy, (31, 40), sigma), ndimage.gaussian_filter(counts, sigma, mode="constant"), atol=1e-14)


def test_the_prior_chooses_the_width_that_others_confirm() -> None:
    rng = np.random.default_rng(1)
    size, names = (60, 80), [f"p{i % 5}" for i in range(60)]
    xy = np.clip(rng.normal([40, 30], [8, 6], (60, 2)), 0, [79, 59])
    prior = centre_prior(Fixations(xy, image=names, size=size))
    assert prior.density.sum() == pytest.approx(1.0)
    assert prior.density.shape == size
    y, x = np.mgrid[:60, :80]

    def heldout(bandwidth: float) -> float:
        total = 0.0
        for name in sorted(set(names)):
            own = np.array([n == name for n in names])
            s = bandwidth * 80
            p = sum(np.exp(-((x - int(a)) ** 2 + (y - int(b)) ** 2) / (2 * s * s)) for a, b in xy[~own])
            p = (1 - UNIFORM) * p / p.sum() + UNIFORM / p.size
            total += sum(np.log2(p[int(b), int(a)] * p.size) for a, b in xy[own])
        return total / len(xy)

    slow = [heldout(b) for b in BANDWIDTHS]
    assert prior.bandwidth == BANDWIDTHS[int(np.argmax(slow))]
    assert prior.bits == pytest.approx(max(slow), abs=0.01)
    assert slow[0] < max(slow) > slow[-1]  # neither end: the choice is one


def test_a_left_out_picture_is_not_known() -> None:
    xy = [[5.0, 5.0]] * 4 + [[30.0, 30.0]] * 4 + [[6.0, 6.0]] * 4
    seen = Fixations(xy, image=["a"] * 4 + ["b"] * 4 + ["c"] * 4, size=(40, 40))
    whole, without = centre_prior(seen), centre_prior(seen, leave_out="b", size=(20, 20))
    assert whole.density[30, 30] > 10 * without.density[15, 15] / 4
    assert without.density.shape == (20, 20)
    assert without.density.sum() == pytest.approx(1.0)


def test_refusals() -> None:
    seen = Fixations([[50.0, 50.0]], size=(10, 10))
    with pytest.raises(DegenerateError, match="no fixation lies inside"):
        blurred(seen, sigma=1.0)
    inside = Fixations([[5.0, 5.0]], size=(10, 10))
    with pytest.raises(LayoutError, match="neither sigma nor pixels of a degree"):
        blurred(inside)
    with pytest.raises(LayoutError, match="sigma=-1"):
        blurred(inside, sigma=-1.0)
    with pytest.raises(DegenerateError, match="out of 1 pictures"):
        centre_prior(inside)
