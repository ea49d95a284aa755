"""humanoid-search works: heads that turn in a panorama, on rooms whose target is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from regard.gaze.foveation import perspective
from regard.gaze.foveation.perspective import directions, in_view
from regard.gaze.stimuli import panorama
from regard.gaze.stimuli.panorama import Panorama
from regard.testing.marks import works

FIELD, SIZE = 90.0, (64, 64)
BOX = (15.0, 10.0)  # half of the target's box, degrees of yaw and pitch
HIGHEST = 30.0


def success(gaze: Tensor, target: Tensor) -> bool:
    yaw = (gaze[0] - target[0] + 180) % 360 - 180
    return bool(yaw.abs() <= BOX[0] and (gaze[1] - target[1]).abs() <= BOX[1])


def turn(room: Panorama, gaze: Tensor, steps: int = 6) -> Tensor:
    """Turns right by 60 degrees until something red is in view, then to it, by what is rendered only."""
    for _ in range(steps):
        view = perspective(room.picture[None], gaze, field=FIELD, size=SIZE)[0]
        red = (view[0] > 0.7) & (view[1] < 0.35)
        if red.any():
            return directions(gaze[None], FIELD, SIZE)[0][red].median(0).values if red.sum() > 3 else gaze
        gaze = torch.stack([(gaze[0] + 60 + 180) % 360 - 180, gaze[1]])
    return gaze


@works("humanoid-search")
@pytest.mark.parametrize("seed", range(5))
def test_rays_go_there_and_back_and_the_seam_is_no_edge(seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    gaze = (torch.rand(2, generator=g, dtype=torch.float64) - 0.5) * torch.tensor([360.0, 160.0])
    rays = directions(gaze[None], FIELD, SIZE)[0]
    back = in_view(rays, gaze, field=FIELD, size=SIZE)
    rows, columns = torch.meshgrid(*(torch.arange(64.0) + 0.5 for _ in "yx"), indexing="ij")
    assert torch.allclose(back, torch.stack([columns, rows], -1).double(), atol=1e-7)
    x = torch.rand(1, 3, 32, 64, generator=g, dtype=torch.float64)
    here = perspective(x, gaze, size=SIZE)
    there = perspective(x.roll(16, -1), gaze + torch.tensor([90.0, 0.0]), size=SIZE)
    assert torch.allclose(here, there, atol=1e-9)


@works("humanoid-search")
def test_oracle_searcher_and_chance() -> None:
    """On 40 rooms: the oracle, and a head that looks at what is rendered, always succeed; a random gaze succeeds as
    often as its box has room among all gazes (within three standard errors of 20,000 draws)."""
    rooms = [panorama(highest=HIGHEST, seed=s) for s in range(40)]
    g = torch.Generator().manual_seed(0)
    draws = (torch.rand(20000, 2, generator=g) * 2 - 1) * torch.tensor([180.0, HIGHEST])
    hits = []
    for at, room in enumerate(rooms):
        target = room.things[0]
        assert success(target, target)
        start = torch.tensor([float(torch.rand(1, generator=g)) * 360 - 180, 0.0])
        assert success(turn(room, start), target), at
        low, high = max(-HIGHEST, float(target[1]) - BOX[1]), min(HIGHEST, float(target[1]) + BOX[1])
        chance = 2 * BOX[0] / 360 * (high - low) / (2 * HIGHEST)
        mine = draws[at * 500 : (at + 1) * 500]
        hits.append((sum(success(one, target) for one in mine), 500 * chance, 500 * chance * (1 - chance)))
    found, wanted, spread = (sum(column) for column in zip(*hits, strict=True))
    assert abs(found - wanted) < 3 * math.sqrt(spread)
    assert found < 0.1 * 20000
