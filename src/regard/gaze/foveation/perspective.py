"""What a head sees of a 360-degree picture when it turns somewhere: a flat view out of an equirectangular one."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import DegenerateError, LayoutError
from regard.gaze.foveation._shared import Fixation, Pictures, check_batch, read
from regard.registry import method

View = Float[Tensor, "b c h w"]


@method(
    "gaze.foveation",
    paper="humanoid-search",
    claim="equals rays traced by hand; a place seen lands where in_view tells",
    source="the pinhole's geometry",
    needs={"panorama", "gaze"},
    differs="none",
    unit="colour",
)
def perspective(panorama: Pictures, gaze: Fixation, *, field: float = 90.0, size: tuple[int, int] = (128, 128)) -> View:
    """A pinhole view of `field` degrees across, looking along gaze = (yaw, pitch).

    panorama [B, C, H, W]: yaw from -180 to 180 degrees from left to right, pitch from 90 (up) to -90; the left and
    right edge are one place. gaze [2] or [B, 2] in degrees, yaw to the right, pitch up; size (height, width).
    Differentiable in both. Raises LayoutError, DegenerateError, ImageError.

    >>> import torch
    >>> ramp = torch.linspace(-180, 180, 361)[:-1].add(0.5).expand(1, 1, 180, 360)
    >>> round(float(perspective(ramp, torch.tensor([30.0, 0.0]), size=(5, 5))[0, 0, 2, 2]), 3)
    30.0
    """
    check_batch(panorama)
    given = torch.as_tensor(gaze, dtype=panorama.dtype, device=panorama.device)
    if given.shape not in ((2,), (len(panorama), 2)):
        raise LayoutError(f"a gaze {list(given.shape)}", hint="(yaw, pitch) in degrees, [2] or [B, 2]")
    looks = given.expand(len(panorama), 2)
    if not looks.isfinite().all():
        raise DegenerateError("a gaze that is NaN or infinite", hint="(yaw, pitch) in degrees")
    seen = directions(looks, field, size)
    height, width = panorama.shape[-2:]
    wrapped = torch.cat([panorama[..., -1:], panorama, panorama[..., :1]], -1)
    places = torch.stack([(seen[..., 0] + 180) * width / 360 + 1, (90 - seen[..., 1]) * height / 180], -1)
    return read(wrapped, places, outside="border")


def directions(gaze: Float[Tensor, "b 2"], field: float, size: tuple[int, int]) -> Float[Tensor, "b h w 2"]:
    """(yaw in -180..180, pitch) in degrees of every pixel's ray."""
    if not 0 < field < 180 or min(size) < 1:
        raise LayoutError(f"a field of {field} degrees, {size} pixels", hint="between 0 and 180, 1 or more")
    height, width = size
    focal = width / 2 / math.tan(math.radians(field / 2))
    x = (torch.arange(width, dtype=gaze.dtype, device=gaze.device) + 0.5 - width / 2) / focal
    y = (torch.arange(height, dtype=gaze.dtype, device=gaze.device) + 0.5 - height / 2) / focal
    yaw, pitch = (gaze.deg2rad()[:, i, None, None] for i in (0, 1))
    ahead = pitch.cos() + y[:, None] * pitch.sin()  # turned up about the axis through the ears
    up = pitch.sin() - y[:, None] * pitch.cos()
    across = x.expand(len(gaze), height, width)
    ahead, up = ahead.expand_as(across), up.expand_as(across)
    turned = (torch.atan2(across, ahead) + yaw).rad2deg()
    return torch.stack([(turned + 180) % 360 - 180, torch.atan2(up, torch.hypot(across, ahead)).rad2deg()], -1)


def in_view(
    direction: Float[Tensor, "*s 2"],
    gaze: Float[Tensor, " 2"],
    *,
    field: float = 90.0,
    size: tuple[int, int] = (128, 128),
) -> Float[Tensor, "*s 2"]:
    """Where (yaw, pitch) in degrees lands in a view, (x, y) in pixels; NaN behind the head. The inverse of a view.

    >>> import torch
    >>> in_view(torch.tensor([30.0, 0.0]), torch.tensor([30.0, 0.0]), size=(100, 100)).tolist()
    [50.0, 50.0]
    """
    height, width = size
    focal = width / 2 / math.tan(math.radians(field / 2))
    yaw, pitch = (direction[..., 0] - gaze[0]).deg2rad(), direction[..., 1].deg2rad()
    x, up, flat = pitch.cos() * yaw.sin(), pitch.sin(), pitch.cos() * yaw.cos()
    down = gaze[1].deg2rad()
    ahead = flat * down.cos() + up * down.sin()
    y = flat * down.sin() - up * down.cos()
    places = torch.stack([width / 2 + focal * x / ahead, height / 2 + focal * y / ahead], -1)
    return torch.where((ahead > 1e-9)[..., None], places, torch.full_like(places, math.nan))
