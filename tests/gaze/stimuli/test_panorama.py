from __future__ import annotations

import math

import pytest
import torch

from regard.errors import LayoutError
from regard.gaze.foveation import perspective
from regard.gaze.stimuli import panorama


def test_discs_have_their_size_on_the_sphere() -> None:
    made = panorama(height=256, radius=8.0, seed=3)
    red = (made.picture[0] > 0.8) & (made.picture[1] < 0.3)
    pitch = (90 - (torch.arange(256) + 0.5) * 180 / 256).deg2rad()
    solid = (red * pitch.cos()[:, None]).sum() * (math.pi / 256) ** 2
    assert float(solid) == pytest.approx(2 * math.pi * (1 - math.cos(math.radians(8))), rel=0.05)
    assert (made.things[:, 1].abs() <= 45).all()


@pytest.mark.parametrize("seed", range(3))
def test_who_looks_there_sees_the_target_in_the_middle(seed: int) -> None:
    made = panorama(seed=seed)
    view = perspective(made.picture[None], made.things[0], size=(65, 65))[0]
    assert view[:, 32, 32].tolist() == pytest.approx([0.85, 0.15, 0.15], abs=0.02)
    away = perspective(made.picture[None], made.things[0] + torch.tensor([180.0, 0.0]), size=(65, 65))[0]
    assert away[0].max() < 0.84 or away[1, 32, 32] > 0.2


def test_no_room() -> None:
    with pytest.raises(LayoutError, match="find no room"):
        panorama(things=9, radius=40.0)


def test_the_target_has_its_place() -> None:
    made = panorama(things=5, seed=4)
    assert bool((made.picture[0] > 0.8)[made.target].all())  # it alone is red
    assert not bool((made.target & made.distractors).any())
    rows, columns = made.target.nonzero().double().mean(0).tolist()
    yaw, pitch = made.things[0].tolist()
    assert abs((columns + 0.5) * 180 / 128 - 180 - yaw) < 3 or made.target[:, [0, -1]].any()
    assert abs(90 - (rows + 0.5) * 180 / 128 - pitch) < 3
    assert repr(made).startswith("Panorama(5 things, 128 x 256, target at yaw ")
