"""NATTEN itself, on the CPU: its flex backend is dense there, which makes it an independent oracle for small grids."""

from __future__ import annotations

import warnings

import pytest
import torch

import regard as rg

natten = pytest.importorskip("natten")
pytestmark = [pytest.mark.peers, pytest.mark.slow]

FUNCTIONS = {1: "na1d", 2: "na2d", 3: "na3d"}


@pytest.mark.parametrize("seed", range(24))
def test_random_settings_of_one_to_three_axes(seed: int) -> None:
    """Window, stride, dilation, causal axes; even windows and uneven residues among them."""
    draw = torch.Generator().manual_seed(seed)

    def pick(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=draw))

    rank = seed % 3 + 1
    axes = tuple(pick(4, (24, 10, 6)[rank - 1]) for _ in range(rank))
    dilation = tuple(pick(1, min(2, n // 2)) for n in axes)
    window = tuple(pick(2, n // d) for n, d in zip(axes, dilation, strict=True))
    stride = tuple(pick(1, k) for k in window)
    causal = tuple(bool(pick(0, 1)) and k < n // d for k, n, d in zip(window, axes, dilation, strict=True))
    tokens = torch.Size(axes).numel()
    q, k, v = (torch.randn(1, 2, tokens, 32, generator=draw) for _ in range(3))
    mine = rg.attend(q, k, v, pattern=rg.patterns.neighborhood(axes, window, stride, dilation, causal), impl="tiled")
    heads_last = [x.transpose(1, 2).unflatten(1, axes) for x in (q, k, v)]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        function = getattr(natten, FUNCTIONS[rank])
        theirs = function(
            *heads_last, kernel_size=window, stride=stride, dilation=dilation, is_causal=causal, backend="flex-fna"
        )
    theirs = theirs.flatten(1, rank).transpose(1, 2)
    torch.testing.assert_close(mine.out, theirs, rtol=1e-5, atol=1e-5)
