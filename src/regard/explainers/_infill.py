"""What is drawn in the place of pixels that are gone, out of those that stay."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regard.errors import LayoutError
from regard.subjects.baseline import baseline_picture
from regard.subjects.scorer import Scorer

Infill = Callable[[Tensor, Tensor], Tensor]  # pictures [n, C, H, W], kept [n, 1, H, W] -> pictures
LOCAL = "local"


def infill_of(chosen: str | Infill, score: Scorer, generator: torch.Generator) -> Infill:
    """`local`, a baseline by name, or a function of pictures and of what stays of them, checked at each call."""
    if chosen == LOCAL:
        return local_mean
    if isinstance(chosen, str):
        replaced = score.baseline(chosen, generator)
        return lambda pictures, _: replaced.repeat(len(pictures) // len(replaced), 1, 1, 1)
    fill = chosen

    def checked(pictures: Tensor, kept: Tensor) -> Tensor:
        made: object = fill(pictures, kept)
        if not isinstance(made, Tensor) or made.shape != pictures.shape:
            came = list(made.shape) if isinstance(made, Tensor) else type(made).__name__
            raise LayoutError(
                f"the in-fill gives {came} for pictures {list(pictures.shape)}", hint="pictures like them"
            )
        return made

    return checked


def local_mean(pictures: Float[Tensor, "n c H W"], kept: Bool[Tensor, "n 1 H W"]) -> Float[Tensor, "n c H W"]:
    """The mean of the pixels that stay, weighted by a Gaussian around each; what is far from all: their plain mean."""
    weight = kept.to(pictures)
    near = baseline_picture(weight, "blur")
    mean = (pictures * weight).sum((2, 3), keepdim=True) / weight.sum((2, 3), keepdim=True).clamp_min(1)
    faint = 1e-4  # of a pixel: lets the plain mean take over where nothing is near
    return (baseline_picture(pictures * weight, "blur") + faint * mean) / (near + faint)
