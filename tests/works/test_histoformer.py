"""histoformer works: pixels attend by brightness, wherever they lie, and come back to their places."""

from __future__ import annotations

import torch

import regard as rg
from regard.testing.marks import works

from .arithmetic import drawn, gap

histogram = rg.operators.histogram
SIDE, BINS = 12, 6


def operands(seed: int) -> tuple[torch.Tensor, ...]:
    """q, k, v of a photo's pixels by a fixed random projection, and their brightness."""
    photo = rg.image("sample:coffee").double()
    small = torch.nn.functional.interpolate(photo, size=(SIDE, SIDE), mode="area")
    pixels = small.flatten(2).mT[:, None]
    q, k, v = (pixels @ drawn(3, 4, seed=10 * seed + i) for i in range(3))
    return q, k, v, small.mean(1).flatten(1)


@works("histoformer")
def test_sorting_is_undone() -> None:
    """Values that tell a pixel's number come back to it when each bin and rank holds that pixel alone in weight."""
    brightness = operands(0)[3]
    order = brightness[0].argsort(stable=True)
    sharp = torch.eye(SIDE * SIDE)[None, None].double() * 1e3
    number = torch.arange(1.0, SIDE * SIDE + 1)[None, None, :, None].double()
    assert torch.equal(histogram(sharp, sharp, number, brightness, bins=BINS), number.square())
    assert not torch.equal(order, order.sort().values)


@works("histoformer")
def test_permuting_pixels_permutes_the_output() -> None:
    for seed in range(3):
        given = operands(seed)
        shuffle = torch.randperm(SIDE * SIDE, generator=torch.Generator().manual_seed(seed))
        moved = histogram(*(x[..., shuffle, :] for x in given[:3]), given[3][:, shuffle], bins=BINS)
        assert gap(moved, histogram(*given, bins=BINS)[..., shuffle, :]) < 1e-12


@works("histoformer")
def test_pixels_as_bright_interact_over_any_distance() -> None:
    """The first pixel's output moves with every pixel of its bin or its rank, and with no other's values."""
    q, k, v, brightness = operands(0)
    v.requires_grad_()
    (slope,) = torch.autograd.grad(histogram(q, k, v, brightness, bins=BINS)[:, :, 0].sum(), v)
    rank = brightness[0].argsort(stable=True).argsort()
    each = SIDE * SIDE // BINS
    partner = (rank // each == rank[0] // each) | (rank % each == rank[0] % each)
    assert torch.equal(slope.abs().sum((0, 1, 3)) > 0, partner)
    far = torch.arange(SIDE * SIDE) // SIDE >= SIDE - 3
    assert int((partner & far).sum()) >= 3


@works("histoformer")
def test_the_correlation_loss_is_zero_under_a_positive_affine_change() -> None:
    """1 - CC, by `rg.gaze.metrics.cc`; 2 for the negative, and with a gradient elsewhere."""
    image = operands(0)[3][0].view(SIDE, SIDE)
    assert abs(1 - float(rg.gaze.metrics.cc(0.3 * image + 2, image))) < 1e-12
    assert abs(1 - float(rg.gaze.metrics.cc(-0.3 * image + 2, image)) - 2) < 1e-12
    assert 1 - float(rg.gaze.metrics.cc(image.flip(0), image)) > 0.05
