"""Image signature: the signs of a picture's cosine transform find what is small on a simple ground."""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from regard.gaze.predictors._shared import Pictures, as_map, blur, check_pictures, lab, shrunk
from regard.registry import method
from regard.subjects.values import MapValues


@method(
    "gaze.predictors",
    paper="image-signature",
    claim="equals SciPy's transforms; finds a sparse figure on a ground of few cosines; AUC .80 on OSIE",
    source="Hou, Harel and Koch 2012, equations 1 to 4",
    needs={"x"},
    differs="none",
    unit="energy",
)
def signature(x: Pictures, *, width: int = 64, sigma: float = 0.045, space: Literal["lab", "rgb"] = "lab") -> MapValues:
    """S = G * sum over channels of (IDCT(sign(DCT(x))))^2.

    width: longer side in pixels at which it is computed; sigma: of the blur G, in widths of the map; space: of colours.

    x [B, 3, H, W] in 0..1; gives [B, h, w]. Raises ImageError for other pictures.

    >>> import torch
    >>> signature(torch.rand(1, 3, 30, 40, generator=torch.Generator().manual_seed(0))).grid
    Grid(h=30, w=40, prefix=0)
    """
    check_pictures(x)
    small = shrunk(x, width)
    channels = lab(small) if space == "lab" else small
    down, across = (cosines(n).to(x) for n in channels.shape[-2:])
    back = down.mT @ (down @ channels @ across.mT).sign() @ across
    return as_map(blur(back.square().sum(1), sigma * small.shape[-1]))


def cosines(n: int) -> Float[Tensor, "n n"]:
    """The orthonormal cosine transform (DCT-II) as a matrix, a frequency a row."""
    k, i = torch.arange(n, dtype=torch.float64)[:, None], torch.arange(n, dtype=torch.float64)
    matrix = math.sqrt(2 / n) * torch.cos(math.pi * (i + 0.5) * k / n)
    matrix[0] /= math.sqrt(2)
    return matrix
