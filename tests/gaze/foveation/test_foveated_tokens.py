from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from regard.errors import LayoutError
from regard.gaze.foveation import foveated_tokens

from .tools import drawn


@pytest.mark.parametrize("settings", [{"levels": 1}, {"levels": 3, "reach": math.inf}])
def test_equal_patches_are_a_patch_embedding(settings) -> None:
    x = drawn(2, 3, 32, 64)
    conv = nn.utils.skip_init(nn.Conv2d, 3, 5, 8, stride=8).double()
    for p in conv.parameters():
        p.data = drawn(*p.shape, seed=2)
    got = foveated_tokens(x, (3.0, 31.0), patch=8, **settings)
    assert torch.allclose(got.embedded(conv.weight, conv.bias), conv(x).flatten(2).transpose(1, 2))
    table = drawn(4, 8, 7)
    assert torch.allclose(got.placed(table), table.flatten(0, 1))
    assert torch.allclose(got.rebuilt(), x)


def test_cells_cover_the_picture_once_and_are_small_at_the_gaze() -> None:
    x, at = drawn(1, 1, 96, 128), (70.0, 33.0)
    got = foveated_tokens(x, at, patch=4, levels=4, reach=0.7)
    cover = torch.zeros(96, 128)
    for (left, y), side in zip(got.corners.tolist(), got.sides.tolist(), strict=True):
        cover[y : y + side, left : left + side] += 1
        away = math.hypot(*(max(low - g, 0, g - low - side) for g, low in zip(at, (left, y), strict=True)))
        assert side == 4 or away > 0.7 * side  # none that should have been split
    assert (cover == 1).all()
    assert set(got.sides.tolist()) == {4, 8, 16, 32}
    splits = (len(got) - 96 * 128 // 32**2) / 3
    assert splits == int(splits)  # N = H W / largest^2 + 3 splits
    assert len(got) < 0.3 * 96 * 128 / 16


def test_means_positions_and_ramps() -> None:
    y, x = torch.meshgrid(torch.arange(32.0).double(), torch.arange(32.0).double(), indexing="ij")
    ramp = (2 * x - 3 * y + 1)[None, None]
    got = foveated_tokens(ramp, (2.0, 2.0), patch=4, levels=3, reach=0.2)
    assert (got.rebuilt() - ramp).abs().max() < 1e-9  # what is linear is kept exactly
    noise = drawn(1, 1, 32, 32)
    kept = foveated_tokens(noise, (2.0, 2.0), patch=4, levels=3, reach=0.2)
    assert (kept.rebuilt() - noise).abs().max() > 0.1
    table = drawn(8, 8, 3)
    for n in range(len(got)):
        (left, top), side = got.corners[n].tolist(), int(got.sides[n])
        cells = table[top // 4 : (top + side) // 4, left // 4 : (left + side) // 4]
        assert torch.allclose(got.placed(table)[n], cells.mean((0, 1)))
        cut = noise[0, 0, top : top + side, left : left + side]
        assert torch.allclose(kept.pictures[0, n, 0], cut.unflatten(0, (4, -1)).unflatten(2, (4, -1)).mean((1, 3)))


def test_refusals() -> None:
    with pytest.raises(LayoutError, match="= 32 pixels"):
        foveated_tokens(drawn(1, 1, 48, 32), (2.0, 2.0), patch=8)
    with pytest.raises(LayoutError, match="one picture at a time"):
        foveated_tokens(drawn(2, 1, 32, 32), torch.tensor([[1.0, 1.0], [2.0, 2.0]]), patch=8)
    with pytest.raises(LayoutError, match="positions"):
        foveated_tokens(drawn(1, 1, 32, 32), (2.0, 2.0), patch=8).placed(drawn(3, 3, 2))


def test_one_line_tells_tokens_and_cells() -> None:
    seen = foveated_tokens(torch.zeros(1, 3, 64, 64), (8.0, 8.0), patch=8, levels=3, reach=0.5)
    assert repr(seen) == "Tokens(16 of 8 x 8, cells of 8, 16, 32 pixels, 64 x 64)"
