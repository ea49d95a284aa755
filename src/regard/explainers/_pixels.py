"""What methods that explain pixels do alike."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError
from regard.layout import Grid
from regard.subjects.values import MapValues

Channels = Literal["sum", "max_abs"]
Baseline = Literal["black", "white", "mean", "blur", "uniform"]


def on_pixels(
    values: Float[Tensor, "b c ..."], *, gap: float | None = None, se: Tensor | None = None, site: str | None = None
) -> MapValues:
    """Values of each channel of each pixel as a map: summed over channels; a series keeps them as rows."""
    if values.ndim not in (3, 4):
        raise LayoutError(
            f"an input {list(values.shape)} has no pixels", hint="pictures [B, C, H, W], series [B, C, T]"
        )
    flat = values.sum(1) if values.ndim == 4 else values
    return MapValues(flat, Grid(*flat.shape[1:]), site=site, gap=gap, se=se)


def over_channels(values: Float[Tensor, "b c h w"], channels: Channels) -> Float[Tensor, "b 1 h w"]:
    """The sum over channels, or the largest size in any of them."""
    return values.sum(1, keepdim=True) if channels == "sum" else values.abs().amax(1, keepdim=True)


def noise(x: Float[Tensor, "b ..."], level: float, generator: torch.Generator) -> Float[Tensor, "b ..."]:
    """Normal noise of `level` times each picture's own range; the same draw for all, in float64 for every type."""
    flat = x.flatten(1)
    spread = level * (flat.amax(1) - flat.amin(1)).view(-1, *(1,) * (x.ndim - 1))
    return spread * torch.randn((1, *x.shape[1:]), generator=generator, dtype=torch.float64).to(x)


def check_samples(samples: int, least: int = 1) -> None:
    if samples < least:
        raise LayoutError(f"{samples} samples", hint=f"at least {least}; 50 are usual")
