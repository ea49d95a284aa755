from __future__ import annotations

import numpy as np
import pytest
import torch

from regard.errors import LayoutError
from regard.metrics._linear_infill import linear_infill


def dense(x: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    """One equation a pixel, solved as a full matrix."""
    height, width = keep.shape
    a, b = torch.eye(height * width).double(), (x * keep).flatten(1).T.clone()
    for i in range(height * width):
        if keep.flatten()[i]:
            continue
        around = {}
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                r, c = i // width + dy, i % width + dx
                if (dy or dx) and 0 <= r < height and 0 <= c < width:
                    around[r * width + c] = 1 / 12 if dy and dx else 1 / 6
        for j, weight in around.items():
            a[i, j] = -weight / sum(around.values())
    return torch.linalg.solve(a, b).T.view_as(x)


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_it_solves_the_system_of_all_gone_pixels(share: float) -> None:
    g = torch.Generator().manual_seed(0)
    x = torch.randn(1, 2, 9, 13, generator=g, dtype=torch.float64)
    keep = torch.rand(3, 9, 13, generator=g) < share
    keep[:, 4, 0] = True
    got = linear_infill(x, keep)
    for one, stays in zip(got, keep, strict=True):
        torch.testing.assert_close(one, dense(x[0], stays), atol=1e-10, rtol=0)


def test_a_constant_stays_and_a_kept_pixel_is_not_touched() -> None:
    keep = torch.zeros(1, 7, 8, dtype=torch.bool)
    keep[0, 3, 5] = True
    torch.testing.assert_close(linear_infill(torch.full((1, 3, 7, 8), 2.5), keep), torch.full((1, 3, 7, 8), 2.5))
    x = torch.randn(1, 1, 7, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(linear_infill(x, ~keep)[0, 0][~keep[0]], x[0, 0][~keep[0]])


def test_masks_do_not_reach_into_each_other_and_nothing_to_fill_from_is_refused() -> None:
    g = torch.Generator().manual_seed(1)
    x = torch.randn(1, 1, 8, 8, generator=g, dtype=torch.float64)
    keep = torch.rand(2, 8, 8, generator=g) < 0.3
    alone = linear_infill(x, keep[:1])
    torch.testing.assert_close(linear_infill(x, keep)[:1], alone)
    with pytest.raises(LayoutError, match="keeps no pixel"):
        linear_infill(x, torch.zeros(1, 8, 8, dtype=torch.bool))


@pytest.mark.peers
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_it_equals_the_imputer_of_grad_cam_without_noise() -> None:
    """To 1e-5."""
    road = pytest.importorskip("pytorch_grad_cam.metrics.road")
    g = torch.Generator().manual_seed(2)
    x = torch.randn(1, 3, 24, 20, generator=g)
    keep = (torch.rand(6, 5, generator=g) < 0.4).repeat_interleave(4, 0).repeat_interleave(4, 1)
    with torch.random.fork_rng(devices=[]):  # it draws noise of size 0
        theirs = road.NoisyLinearImputer(noise=0)(x[0], keep.float())
    np.testing.assert_allclose(linear_infill(x.double(), keep[None])[0], theirs, atol=1e-5)
