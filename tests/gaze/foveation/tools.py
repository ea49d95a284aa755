"""What the tests of foveation share."""

from __future__ import annotations

import torch
from torch import Tensor


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def astronaut(side: int = 512) -> Tensor:
    from skimage import data

    x = torch.from_numpy(data.astronaut() / 255.0).permute(2, 0, 1)[None]
    return x if side == 512 else torch.nn.functional.interpolate(x, size=(side, side), mode="bilinear", antialias=True)
