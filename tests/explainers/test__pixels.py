from __future__ import annotations

import pytest
import torch

from regard.errors import LayoutError
from regard.explainers._pixels import (
    check_samples,
    noise,
    on_pixels,
    over_channels,
)

from .models import draw


def test_channels_are_summed_and_a_series_keeps_them_as_rows() -> None:
    x = draw(2, 3, 4, 5)
    assert torch.equal(on_pixels(x).values, x[:, 0] + x[:, 1] + x[:, 2])
    assert on_pixels(x[:, 0]).values.shape == (2, 4, 5)
    assert torch.equal(over_channels(x, "max_abs")[0, 0, 0, 0], x[0, :, 0, 0].abs().max())
    with pytest.raises(LayoutError, match=r"an input \[2, 3\] has no pixels"):
        on_pixels(x[:, :, 0, 0])


def test_noise_follows_each_pictures_range_and_is_drawn_once() -> None:
    x = torch.stack([torch.linspace(0, 1, 6000), torch.linspace(-5, 5, 6000)])[:, None]
    made = noise(x, 0.2, torch.Generator().manual_seed(0))
    torch.testing.assert_close(made[1], 10 * made[0])
    assert float(made[0].std()) == pytest.approx(0.2, rel=0.05)
    again = noise(x.double(), 0.2, torch.Generator().manual_seed(0))
    torch.testing.assert_close(again.float(), made)


def test_refusals() -> None:
    with pytest.raises(LayoutError, match="1 samples"):
        check_samples(1, 2)
