"""What foveation shares: fixations, eccentricity, and reading a picture between its pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import DegenerateError, ImageError, LayoutError

Pictures = Float[Tensor, "b c H W"]
Fixation = Tensor | Sequence[Any]  # (x, y) in pixels; [2] for all pictures, [b, 2], or [b, f, 2] for several each


def check_batch(x: Any) -> None:
    """Raise ImageError for what is no batch of pictures or features [B, C, H, W]."""
    if not isinstance(x, Tensor):
        raise ImageError(f"a tensor [B, C, H, W] is needed, got {type(x).__name__}", hint="rg.image(path)")
    if x.dtype == torch.uint8:
        raise ImageError(f"pictures of bytes {list(x.shape)}", hint="pictures / 255, floats in 0..1")
    if x.ndim != 4 or not x.is_floating_point() or min(x.shape) < 1:
        raise ImageError(f"floats [B, C, H, W] are needed, got {x.dtype} {list(x.shape)}", hint="picture[None]")


def gazes(fixation: Fixation, x: Pictures) -> Float[Tensor, "b f 2"]:
    """Fixations as [b, f, 2], or LayoutError, DegenerateError for what lies on no picture."""
    check_batch(x)
    try:
        at = torch.as_tensor(fixation, dtype=x.dtype, device=x.device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise LayoutError(f"a fixation of no numbers ({error})", hint="(x, y) in pixels") from error
    if at.ndim == 2:
        at = at[:, None]
    if at.shape[-1:] != (2,) or at.ndim not in (1, 3) or (at.ndim == 3 and len(at) != len(x)) or not at.numel():
        raise LayoutError(
            f"fixations {list(at.shape)} for {len(x)} pictures", hint="(x, y) in pixels: [2], [b, 2] or [b, f, 2]"
        )
    if not at.isfinite().all():
        raise DegenerateError("a fixation is NaN or infinite", hint="leave blinks out: fixations.inside()")
    if not ((at >= 0) & (at <= at.new_tensor([x.shape[-1], x.shape[-2]]))).all():
        raise LayoutError(
            f"a fixation outside pictures of {x.shape[-2]} x {x.shape[-1]}", hint="(x, y) in pixels from the top left"
        )
    return at.expand(len(x), -1, 2) if at.ndim == 3 else at.expand(len(x), 1, 2)


def single(fixation: Fixation, x: Pictures) -> Float[Tensor, "b 2"]:
    """As `gazes`, where each picture has one."""
    at = gazes(fixation, x)
    if at.shape[1] != 1:
        raise LayoutError(f"{at.shape[1]} fixations a picture", hint="one each: [2] or [b, 2]")
    return at[:, 0]


def eccentricity(fixation: Fixation, x: Pictures) -> Float[Tensor, "b H W"]:
    """Pixels from each pixel's middle to the nearest fixation."""
    return distances(gazes(fixation, x), *middles(x))


def middles(x: Pictures) -> tuple[Float[Tensor, " H"], Float[Tensor, " W"]]:
    """Where the middles of rows and columns lie, in pixels."""
    return tuple(torch.arange(n, dtype=x.dtype, device=x.device) + 0.5 for n in x.shape[-2:])  # type: ignore[return-value]


def distances(at: Float[Tensor, "b f 2"], y: Float[Tensor, " h"], x: Float[Tensor, " w"]) -> Float[Tensor, "b h w"]:
    """From every place (y, x) to the nearest of its fixations; the root has a floor, so that its slope stays finite."""
    square = (x - at[..., None, :1]) ** 2 + (y[:, None] - at[..., None, 1:]) ** 2
    return (square.amin(1) + 1e-20).sqrt()


def read(x: Pictures, places: Float[Tensor, "b h w 2"], *, outside: str = "zeros") -> Float[Tensor, "b c h w"]:
    """Values at places (x, y) in pixels, bilinear; beyond the edge 0, or ("border") the nearest."""
    unit = 2 * places / places.new_tensor([x.shape[-1], x.shape[-2]]) - 1
    return F.grid_sample(x, unit, mode="bilinear", padding_mode=outside, align_corners=False)
