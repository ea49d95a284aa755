from __future__ import annotations

import math

import pytest
import torch

from regard.errors import DegenerateError, LayoutError
from regard.gaze.foveation import perspective
from regard.gaze.foveation.perspective import directions, in_view

from .tools import drawn

GAZES = ((0.0, 0.0), (179.0, 20.0), (-95.0, -60.0), (33.0, 89.0))


@pytest.mark.parametrize("gaze", GAZES)
def test_rays_by_matrices_and_back(gaze) -> None:
    look, size, field = torch.tensor(gaze, dtype=torch.float64), (6, 9), 70.0
    got = directions(look[None], field, size)[0]
    yaw, pitch = look.deg2rad().tolist()
    up = torch.tensor([[1, 0, 0], [0, math.cos(pitch), math.sin(pitch)], [0, -math.sin(pitch), math.cos(pitch)]])
    around = torch.tensor([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    focal = 4.5 / math.tan(math.radians(35))
    for i in range(6):
        for j in range(9):
            ray = torch.tensor([(j + 0.5 - 4.5) / focal, -(i + 0.5 - 3) / focal, 1.0])  # y up here
            x, y, z = (around @ up @ ray).tolist()
            want = torch.tensor([math.degrees(math.atan2(x, z)), math.degrees(math.atan2(y, math.hypot(x, z)))])
            assert torch.allclose(got[i, j].float(), want, atol=1e-3)
    places = in_view(got, look, field=field, size=size)
    rows, columns = torch.meshgrid(torch.arange(6.0) + 0.5, torch.arange(9.0) + 0.5, indexing="ij")
    assert torch.allclose(places, torch.stack([columns, rows], -1).double(), atol=1e-7)
    behind = torch.tensor([gaze[0] + 180, -gaze[1]], dtype=torch.float64)
    assert in_view(behind, look).isnan().all()


def test_the_seam_is_no_edge() -> None:
    """A panorama turned by 100 degrees and a gaze turned with it give one view, also across the edge."""
    x = drawn(1, 2, 60, 360)
    seen = perspective(x, torch.tensor([80.0, 10.0]).double(), size=(20, 30))
    turned = perspective(x.roll(100, -1), torch.tensor([-180.0, 10.0]).double(), size=(20, 30))
    assert torch.allclose(seen, turned, atol=1e-9)
    assert (seen - perspective(x, torch.tensor([81.0, 10.0]).double(), size=(20, 30))).abs().max() > 0.1


def test_gradients_and_refusals() -> None:
    x = drawn(1, 1, 12, 24).requires_grad_()
    gaze = torch.tensor([170.3, 12.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda p, g: perspective(p, g, size=(3, 4)), (x, gaze), eps=1e-7, atol=1e-5, fast_mode=True
    )
    with pytest.raises(LayoutError, match="yaw, pitch"):
        perspective(x, torch.zeros(3))
    with pytest.raises(DegenerateError, match="NaN"):
        perspective(x, torch.tensor([math.nan, 0.0]))
    with pytest.raises(LayoutError, match="field of 180"):
        perspective(x, torch.zeros(2), field=180.0)


def test_a_gaze_may_be_two_numbers() -> None:
    x = torch.rand(1, 3, 20, 40, generator=torch.Generator().manual_seed(0))
    assert torch.equal(perspective(x, (10.0, 5.0)), perspective(x, torch.tensor([10.0, 5.0])))
