"""What predictors share: pictures in 0..1, a working size, colour spaces, blur."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import ImageError
from regard.layout import Grid
from regard.subjects.values import MapValues

Pictures = Float[Tensor, "b 3 H W"]


def check_pictures(x: Tensor) -> None:
    """Raise ImageError for what is no photo [B, 3, H, W] in 0..1."""
    if x.ndim != 4 or x.shape[1] != 3 or not x.is_floating_point() or min(x.shape) < 1:
        raise ImageError(
            f"pictures of floats [B, 3, H, W] are needed, got {x.dtype} {list(x.shape)}", hint="rg.image(path)"
        )
    low, high = (float(v) for v in x.aminmax())
    if not (low >= -1e-5 and high <= 1 + 1e-5):
        raise ImageError(
            f"pictures in {low:.3g}..{high:.3g}, not 0..1",
            hint="rg.image(path) without like=: people see the photo, not what a model is fed",
        )


def shrunk(x: Float[Tensor, "b c H W"], width: int, *, enlarge: bool = False) -> Float[Tensor, "b c h w"]:
    """Pictures with their longer side at `width` pixels, smoothed as they shrink; smaller ones stay, or grow."""
    scale = width / max(x.shape[-2:])
    if scale >= 1 and not (enlarge and scale > 1):
        return x
    size = [max(1, round(side * scale)) for side in x.shape[-2:]]
    return F.interpolate(x, size=size, mode="bilinear", antialias=True, align_corners=False)


def grey(x: Pictures) -> Float[Tensor, "b H W"]:
    """Luma, Rec. 601."""
    return torch.tensordot(x.new_tensor([0.299, 0.587, 0.114]), x, dims=([0], [1]))


def lab(x: Pictures) -> Float[Tensor, "b 3 H W"]:
    """CIE L*a*b* of sRGB pictures under D65: L in 0..100."""
    linear = torch.where(x > 0.04045, ((x.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4, x / 12.92)
    to_xyz = x.new_tensor(
        [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
    )
    white = x.new_tensor([0.95047, 1.0, 1.08883])
    xyz = torch.einsum("ij,bjhw->bihw", to_xyz / white[:, None], linear)
    f = torch.where(xyz > 0.008856, xyz.clamp_min(0.008856) ** (1 / 3), 7.787 * xyz + 16 / 116)
    return torch.stack([116 * f[:, 1] - 16, 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])], dim=1)


def blur(values: Float[Tensor, "... h w"], sigma: float, *, edge: str = "replicate") -> Float[Tensor, "... h w"]:
    """Gaussian of `sigma` pixels, cut off at four of them; beyond the edge its values go on (or, constant, 0)."""
    if sigma <= 0:
        return values
    reach = max(1, math.ceil(4 * sigma))
    steps = torch.arange(-reach, reach + 1, dtype=values.dtype, device=values.device)
    kernel = torch.exp(-0.5 * (steps / sigma) ** 2)
    kernel = kernel / kernel.sum()
    flat = values.reshape(-1, 1, *values.shape[-2:])
    for shape, pad in (((1, 1, 1, -1), (reach, reach, 0, 0)), ((1, 1, -1, 1), (0, 0, reach, reach))):
        flat = F.conv2d(F.pad(flat, pad, mode=edge), kernel.view(shape))
    return flat.view(values.shape)


def box(values: Float[Tensor, "... h w"], size: int) -> Float[Tensor, "... h w"]:
    """Mean over size x size pixels; beyond the edge the values go on."""
    flat = values.reshape(-1, 1, *values.shape[-2:])
    half = size // 2
    padded = F.pad(flat, (half, size - 1 - half, half, size - 1 - half), mode="replicate")
    return F.avg_pool2d(padded, size, stride=1).view(values.shape)


def as_map(values: Float[Tensor, "b h w"]) -> MapValues:
    """Values on the grid that they have."""
    return MapValues(values, Grid(values.shape[-2], values.shape[-1]))
