from __future__ import annotations

import math

import pytest
import torch

from regard.errors import LayoutError
from regard.gaze.foveation import texture
from regard.gaze.foveation._bands import bands
from regard.gaze.foveation.texture import regions

from .tools import astronaut, drawn

AT = (64.0, 60.0)


def statistics(made, labels, label):
    """Mean colour, and the standard deviation of every band, in one region."""
    x, filtered = made
    inside = labels[0] == label
    return x[0][:, inside].mean(1), torch.stack([b[0][:, inside].std(1) for b in filtered])


@pytest.mark.slow
def test_regions_keep_their_statistics_and_the_fovea_its_pixels() -> None:
    x = astronaut(128)
    seen = texture(x, AT, fovea=20.0, rounds=3)
    labels, _ = regions(torch.tensor([AT]).double(), x, 0.4, 20.0)
    assert torch.equal(seen[0][:, labels[0] < 0], x[0][:, labels[0] < 0])
    big = [int(k) for k in labels[labels >= 0].unique() if (labels == k).sum() > 60]
    assert len(big) > 30
    close, raw = [], []
    parts = [(p, bands(p, 4, 4)) for p in (x, seen, drawn(*x.shape, seed=3))]
    for k in big:
        (mean, spread), (got_mean, got) = (statistics(p, labels, k) for p in parts[:2])
        assert (got_mean - mean).abs().max() < 1e-8
        close.append((got - spread).abs().sum() / spread.sum())
        raw.append((statistics(parts[2], labels, k)[1] - spread).abs().sum() / spread.sum())
        assert (seen - x)[0][:, labels[0] == k].abs().mean() > 0.1 * x[0][:, labels[0] == k].std()
    assert torch.stack(close).median() < 0.25 < 0.5 < torch.stack(raw).median()


def test_regions_are_as_wide_as_told() -> None:
    x = drawn(1, 1, 301, 301)
    labels, count = regions(torch.tensor([[150.5, 150.5]]).double(), x, 0.5, 10.0)
    axis = torch.arange(301) + 0.5 - 150.5
    r = torch.hypot(axis[:, None], axis)
    assert labels[0, 150, 155] == -1
    ratio = 1.25 / 0.75
    for k in (0, 1, 2):
        ring = (labels[0] // 13) == k  # round(2 pi / .5) wedges
        assert r[ring].min() == pytest.approx(10 * ratio**k, abs=1)
        assert r[ring].max() == pytest.approx(10 * ratio ** (k + 1), abs=1)
        assert r[ring].max() - r[ring].min() == pytest.approx(0.5 * 10 * ratio**k * (1 + ratio) / 2, abs=2)
    assert labels.max() < count
    area = torch.bincount(labels[labels >= 0])
    assert area[13:26].float().std() < 0.1 * area[13:26].float().mean()


def test_nothing_pooled_is_the_picture_and_seeds_differ() -> None:
    x = drawn(1, 2, 40, 44)
    assert torch.equal(texture(x, (20.0, 20.0), scaling=0.0), x)
    one, again, other = (texture(x, (20.0, 20.0), fovea=5.0, seed=s) for s in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)


def test_pictures_are_alone_and_gradients() -> None:
    x = drawn(2, 2, 24, 24)
    at = torch.tensor([[5.0, 6.0], [18.0, 11.0]]).double()
    both = texture(x, at, fovea=4.0, scaling=1.2)
    for i in range(2):
        assert torch.allclose(both[i], texture(x[i : i + 1], at[i], fovea=4.0, scaling=1.2)[0], atol=1e-9)
    small = drawn(1, 1, 7, 7).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p: texture(p, (3.0, 3.0), fovea=1.0, scaling=1.9, scales=1, orientations=1, rounds=1),
        (small,),
        fast_mode=True,
    )
    with pytest.raises(LayoutError, match="scaling=2"):
        texture(x, (5.0, 5.0), scaling=2.0)
    assert math.isfinite(float(both.sum()))
