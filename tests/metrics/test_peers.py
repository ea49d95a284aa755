"""Agreement with Quantus, and where and why we differ; Captum stands in tests/works/test_infidelity_sensitivity.py."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import regard as rg
from regard.layout import Grid
from regard.subjects.bank import compose

pytestmark = [pytest.mark.peers, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
SIDE, CELLS = 24, 6
GRID = Grid(CELLS, CELLS)
QUIET: dict[str, Any] = {"disable_warnings": True, "display_progressbar": False, "normalise": False}


class Net(nn.Module):
    """Bent enough that cells do not add up."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.body = nn.Sequential(nn.Conv2d(1, 6, 4, 4), nn.Tanh(), nn.Flatten(), nn.Linear(216, 3))
        for weight in self.parameters():
            weight.data *= 3

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x.to(self.body[0].weight))


@pytest.fixture(scope="module")
def quantus() -> Any:
    return pytest.importorskip("quantus")


MODEL = Net().eval()
G = torch.Generator().manual_seed(1)
X = torch.rand(1, 1, SIDE, SIDE, generator=G)
MAP = torch.randn(CELLS, CELLS, generator=G).double()


def heat(values: Tensor = MAP) -> rg.Map:
    return rg.Map(values[None].numpy(), GRID, "given", target_index=(1,))


def large(values: Tensor = MAP) -> np.ndarray:
    """The map at the picture's size, as Quantus takes it."""
    return np.kron(values.numpy(), np.ones((4, 4)))[None, None]


def call(metric: Any, a: np.ndarray, **how: Any) -> Any:
    state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    found = metric(model=MODEL, x_batch=X.numpy(), y_batch=np.array([1]), a_batch=a, device="cpu", **how)
    torch.set_rng_state(state[0])
    np.random.set_state(state[1])  # noqa: NPY002
    return found


def test_pixel_flipping_is_our_deletion_curve_and_of_the_negative_our_insertion(quantus: Any) -> None:
    mean = float(X.mean())
    flips = quantus.PixelFlipping(features_in_step=16, perturb_baseline=mean, **QUIET)
    theirs = np.array(call(flips, large(), softmax=True)[0])
    bank = rg.bank(MODEL, X, heat(), orders=0, steps=36, baseline="mean")
    ours = rg.score(heat(), MODEL, X, metric="deletion", bank=bank)
    np.testing.assert_allclose(ours.curve[1, 1:], theirs, atol=1e-6)
    appears = rg.score(heat(), MODEL, X, metric="insertion", bank=bank)
    np.testing.assert_allclose(appears.curve[1, ::-1][1:], call(flips, large(-MAP), softmax=True)[0], atol=1e-6)


def test_their_infidelity_does_not_put_back_what_it_took(quantus: Any) -> None:
    """Their squares pile up: the picture of each step has lost all squares before it too. Ours, and the paper's, takes
    each mask from the whole picture. Each side equals its own loop, and the two are not near."""
    zero = quantus.Infidelity(perturb_patch_sizes=[4], n_perturb_samples=1, perturb_baseline=0.0, **QUIET)
    theirs = call(zero, large(), softmax=False)[0]
    x, black = X.double(), torch.zeros_like(X).double()
    score = lambda p: MODEL(p)[:, 1].double()  # noqa: E731
    alone = torch.eye(36, dtype=torch.bool)
    piled = torch.ones(36, 36, dtype=torch.bool).tril()
    laid = torch.from_numpy(large()).double()

    def loop(gone: Tensor) -> Tensor:
        pictures = compose(x, black, gone, GRID)
        lost = score(x) - score(pictures)
        return (((x - pictures) * laid).sum((1, 2, 3)) - lost).square().mean().detach()

    assert theirs == pytest.approx(float(loop(piled)), rel=1e-5)

    contributions = torch.nn.functional.avg_pool2d(x * laid, 4)[0, 0] * 16
    bank = rg.masks(MODEL, X, heat(), rounds=2, each=4, baseline="mean")
    scores = score(compose(x, black, alone, GRID)).detach()
    by_hand = replace(bank, keep=~alone, scores=scores, whole=float(score(x).detach()))
    ours = rg.metrics.infidelity(contributions[None], by_hand, scaling="none").value
    assert ours == pytest.approx(float(loop(alone)), rel=1e-5)
    assert abs(theirs - ours) > 0.5 * ours


def test_mass_in_a_region_agrees_where_values_are_positive_and_only_there(quantus: Any) -> None:
    """Theirs adds negative values up with the others, so that it can leave 0..1; ours takes them as nothing."""
    region = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    region[4:12, 8:20] = True
    mass = quantus.RelevanceMassAccuracy(**QUIET)
    for values, same in ((MAP.abs(), True), (MAP, False)):
        theirs = call(mass, large(values), s_batch=region[None, None].numpy())[0]
        ours = rg.score(heat(values), MODEL, X, metric="energy_in_mask", region=region, orders=1).value
        assert (ours == pytest.approx(theirs, abs=1e-6)) == same


def test_grad_cams_road_is_ours_without_noise() -> None:
    road = pytest.importorskip("pytorch_grad_cam.metrics.road")
    from pytorch_grad_cam.metrics.perturbation_confidence import RemoveLeastRelevantFirst, RemoveMostRelevantFirst

    mask, found = torch.from_numpy(large()[0, 0]).float()[None], []
    for share in (25, 50, 75):  # shares that are whole cells
        for order, sign in ((RemoveLeastRelevantFirst, 1), (RemoveMostRelevantFirst, -1)):
            with torch.random.fork_rng(devices=[]):
                judge = order(percentile=share, imputer=road.NoisyLinearImputer(noise=0))
                made = judge(X[0], mask[0])
            found.append(sign * float(MODEL(made[None]).softmax(1)[0, 1]))
    ours = rg.score(heat(), MODEL, X, metric=partial(rg.metrics.road, shares=(0.25, 0.5, 0.75), noise=0.0, random=0))
    assert ours.value == pytest.approx(sum(found) / 2 / 3, abs=1e-5)
