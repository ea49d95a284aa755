from __future__ import annotations

import torch
from torch import Tensor

import regard as rg

from .tools import agree, dense, drawn, qkv, refuses

histogram = rg.operators.histogram


def by_masks(intensity: Tensor):  # type: ignore[no-untyped-def]
    rank = intensity.argsort(-1).argsort(-1)
    bins, place = rank // 3, rank % 3  # 12 pixels, 4 bins of 3
    same = lambda x: (x[:, :, None] == x[:, None])[:, None]  # noqa: E731
    return lambda q, k, v: dense(q, k, v, same(bins)) * dense(q, k, v, same(place))


def test_equals_attention_under_two_masks() -> None:
    intensity = drawn((2, 12), seed=5)[0]
    agree(lambda *x: histogram(*x, intensity, bins=4), by_masks(intensity), *qkv(q=12, k=12))


def test_permuting_pixels_permutes_the_output() -> None:
    (q, k, v), intensity = qkv(q=12, k=12), drawn((2, 12), seed=5)[0]
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    moved = histogram(*(x[:, :, order] for x in (q, k, v)), intensity[:, order], bins=4)
    assert torch.allclose(moved, histogram(q, k, v, intensity, bins=4)[:, :, order], atol=1e-12)
    assert not torch.allclose(histogram(q, k, v, intensity[:, order], bins=4), histogram(q, k, v, intensity, bins=4))


def test_pixels_of_one_brightness_meet_wherever_they_lie() -> None:
    """The first and the last pixel are the darkest: the last one's value moves the first one's output."""
    (q, k, v), intensity = qkv(q=12, k=12, b=1), torch.arange(12.0).double()[None]
    intensity[0, 11] = 0.5
    moved = v.clone()
    moved[:, :, 11] += 1
    change = (histogram(q, k, moved, intensity, bins=4) - histogram(q, k, v, intensity, bins=4)).abs().sum((0, 1, 3))
    assert change[0] > 1e-3
    assert change[10] == 0  # a neighbour on the picture, but neither in its bin nor of its rank


def test_refusals() -> None:
    (q, k, v), intensity = qkv(q=12, k=12), drawn((2, 12))[0]
    refuses("in 5 bins", "divides N", histogram, q, k, v, intensity, bins=5)
    refuses("intensity [2, 11]", "[B, N]", histogram, q, k, v, intensity[:, 1:], bins=4)
