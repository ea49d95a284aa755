"""ccnext works: attention along the row, in a window of disparities, finds how far a random-dot pair is shifted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg
from regard.testing.marks import works

H, W, D = 10, 40, 8  # D: largest disparity


def pair(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Left and right features `[1, 1, N, 16]` of random dots, and the disparity of each row: x_left = x_right + d."""
    draw = torch.Generator().manual_seed(seed)
    left = torch.nn.functional.normalize(torch.randn(H, W, 16, generator=draw), dim=-1)
    disparity = torch.randint(0, D + 1, (H,), generator=draw)
    right = torch.stack([row.roll(-int(d), 0) for row, d in zip(left, disparity, strict=True)])
    right = torch.nn.functional.normalize(right + 0.05 * torch.randn(right.shape, generator=draw), dim=-1)
    return left.view(1, 1, -1, 16), right.view(1, 1, -1, 16), disparity


@works("ccnext")
@pytest.mark.parametrize("seed", range(3))
def test_disparity_of_random_dot_pairs(seed: int) -> None:
    """Arg-max keys are the planted disparity wherever the match is in the picture, expected offsets to 0.2 pixels; a
    window as wide as the row is row-wise cross-attention; nothing comes from other rows, bit by bit."""
    left, right, disparity = pair(seed)
    row, window = rg.patterns.epipolar((H, W), band=0.0), rg.patterns.sliding((H, W), (H, D), (H, 0))
    pattern = row & window
    assert pattern.boxes is not None
    places = torch.arange(W).repeat(H).float().view(1, 1, -1, 1)
    expected_place = rg.attend(left, right, places, pattern=pattern, scale=20.0).out.view(H, W)
    sharp = rg.attend(left, right, places, pattern=pattern, scale=1e4).out.view(H, W)  # the arg-max key
    x = torch.arange(W).expand(H, -1)
    matched = x >= D
    truth = disparity[:, None].expand(-1, W)
    assert (x - sharp)[matched].round().equal(truth[matched].float())
    assert float((x - expected_place - truth)[matched].abs().mean()) < 0.2

    whole = rg.attend(left, right, right, pattern=row).out.view(H, W, 16)
    by_row = torch.nn.functional.scaled_dot_product_attention(left.view(H, W, 16), *(right.view(H, W, 16),) * 2)
    torch.testing.assert_close(whole, by_row, rtol=1e-5, atol=1e-5)
    wide = row & rg.patterns.sliding((H, W), (H, W), (H, W))
    assert wide == row

    spoilt = right.clone().view(1, 1, H, W, 16)
    spoilt[:, :, 4] = 100.0
    before, after = (
        rg.attend(left, k.reshape(right.shape), k.reshape(right.shape), pattern=pattern).out for k in (right, spoilt)
    )
    others = torch.arange(H) != 4
    assert before.view(H, W, 16)[others].equal(after.view(H, W, 16)[others])
