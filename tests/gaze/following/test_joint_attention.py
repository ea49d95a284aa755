"""Cones meet where they should, one who looks away changes little, people have no order."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.gaze.following.joint_attention import JointAttention, cones


def towards(places: Tensor, target: Tensor) -> Tensor:
    return target - places


def peak(density: Tensor) -> Tensor:
    row, column = divmod(int(density.flatten().argmax()), density.shape[-1])
    return torch.tensor([(column + 0.5) / density.shape[-1], (row + 0.5) / density.shape[-2]])


def test_cones_meet_within_two_pixels_also_with_one_who_looks_away() -> None:
    for seed in range(5):
        g = torch.Generator().manual_seed(seed)
        places, target = torch.rand(1, 2, 2, generator=g), 0.2 + 0.6 * torch.rand(2, generator=g)
        found = peak(cones(places, towards(places, target), (50, 50), spread=0.05)[0])
        assert float((found - target).norm()) * 50 < 2
    places = torch.tensor([[[0.1, 0.1], [0.9, 0.1], [0.1, 0.9], [0.9, 0.9]]])
    target = torch.tensor([0.4, 0.6])
    gazes = towards(places, target)
    gazes[0, 3] = torch.tensor([0.0, 1.0])  # away from the others' place
    assert float((peak(cones(places, gazes, (50, 50), spread=0.05)[0]) - target).norm()) * 50 < 2
    trusting = peak(cones(places.double(), gazes.double(), (50, 50), spread=0.3, doubt=1e-300)[0])
    assert float((trusting - target).norm()) * 50 > 2  # the planted fault: nobody may be wrong


def test_cones_by_hand() -> None:
    g = torch.Generator().manual_seed(1)
    places, gazes = (torch.rand(1, 3, 2, generator=g, dtype=torch.float64) for _ in range(2))
    made = cones(places, gazes, (3, 4), spread=0.4, doubt=0.2)[0]
    total = torch.zeros(3, 4, dtype=torch.float64)
    for row in range(3):
        for column in range(4):
            for p in range(3):
                dx = (column + 0.5) / 4 - float(places[0, p, 0])
                dy = (row + 0.5) / 3 - float(places[0, p, 1])
                a = math.atan2(dy, dx) - math.atan2(float(gazes[0, p, 1]), float(gazes[0, p, 0]))
                a = (a + math.pi) % (2 * math.pi) - math.pi
                total[row, column] += math.log(0.8 * math.exp(-(a**2) / (2 * 0.16)) + 0.2)
    assert torch.allclose(made, total.exp() / total.exp().sum(), atol=1e-12)


def test_people_have_no_order_and_gradients_reach_every_weight() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = JointAttention(actions=3, width=16, heads=2).double()
    g = torch.Generator().manual_seed(0)
    places, gazes, actions = (torch.rand(2, 5, n, generator=g, dtype=torch.float64) for n in (2, 2, 3))
    order = torch.tensor([3, 1, 4, 0, 2])
    made = model(places, gazes, actions, (6, 7))
    assert torch.allclose(made, model(places[:, order], gazes[:, order], actions[:, order], (6, 7)), atol=1e-12)
    assert torch.allclose(made, model(places, 3 * gazes, actions, (6, 7)), atol=1e-12)
    made.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in model.parameters())


def test_refusals() -> None:
    with pytest.raises(LayoutError, match="people"):
        cones(torch.zeros(2, 2), torch.zeros(2, 2), (4, 4))
