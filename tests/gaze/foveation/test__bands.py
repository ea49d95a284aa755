from __future__ import annotations

import math

import pytest
import torch

from regard.errors import LayoutError
from regard.gaze.foveation._bands import bands

from .tools import drawn


@pytest.mark.parametrize("size", [(16, 16), (15, 22), (21, 13)])
def test_bands_sum_to_the_picture(size: tuple[int, int]) -> None:
    x = drawn(2, 3, *size)
    parts = bands(x, 4, 3)
    assert len(parts) == 1 + 3 * 3 + 1
    assert (torch.stack(parts).sum(0) - x).abs().max() < 1e-12


def test_a_grating_lies_in_its_band() -> None:
    """Of period 8 (octave 2), at 45 degrees."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    wave = torch.cos(2 * math.pi * (x + y) / (8 * math.sqrt(2)))[None, None] * torch.hann_window(64).outer(
        torch.hann_window(64)
    )
    energy = torch.stack([b.square().sum() for b in bands(wave, 4, 4)])
    assert int(energy.argmax()) == 1 + 4 * 1 + 1
    with pytest.raises(LayoutError, match="0 scales"):
        bands(wave, 0, 4)
