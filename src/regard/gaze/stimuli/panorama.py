"""Rooms of 360 degrees with one thing to find, as equirectangular pictures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regard.errors import LayoutError
from regard.registry import method


@dataclass(frozen=True, eq=False)
class Panorama:
    """A picture [3, H, 2 H] and where its things are: (yaw, pitch) in degrees, the target first; radius in degrees.

    target, distractors: where they are in the picture, [H, 2 H] each.
    """

    picture: Float[Tensor, "3 H W"]
    things: Float[Tensor, "n 2"]
    radius: float
    target: Bool[Tensor, "H W"]
    distractors: Bool[Tensor, "H W"]

    def __repr__(self) -> str:
        height, width = self.target.shape
        yaw, pitch = self.things[0].tolist()
        return f"Panorama({len(self.things)} things, {height} x {width}, target at yaw {yaw:.0f}, pitch {pitch:.0f})"


@method(
    "gaze.stimuli",
    paper="humanoid-search",
    claim="things have their radius on the sphere and do not overlap",
    source="written for the test of searches in 360 degrees",
    needs=(),
    differs="drawn rooms in the place of photos",
    unit="colour",
)
def panorama(
    *, height: int = 128, things: int = 6, radius: float = 8.0, highest: float = 45.0, seed: int = 0
) -> Panorama:
    """Floor, walls and ceiling with discs on the sphere, the first red (the target), the others green or blue.

    Yaw -180..180 runs from left to right, pitch 90..-90 from top to bottom. Discs have `radius` degrees on the sphere,
    so near the poles they are stretched here; none overlap, none is beyond `highest` degrees of pitch.

    >>> made = panorama(seed=1)
    >>> made.picture.shape, made.things.shape, bool((made.target & made.distractors).any())
    (torch.Size([3, 128, 256]), torch.Size([6, 2]), False)
    """
    if things < 1 or not 0 < radius < 45 or not 0 <= highest < 90 or height < 8:
        raise LayoutError(
            f"{things} things of {radius} degrees up to {highest}, {height} rows", hint="1 or more; under 45 and 90"
        )
    g = torch.Generator().manual_seed(seed)
    pitch = 90 - (torch.arange(height) + 0.5) * 180 / height
    yaw = (torch.arange(2 * height) + 0.5) * 180 / height - 180
    pixels = _ray(torch.stack(torch.broadcast_tensors(yaw[None], pitch[:, None]), -1))
    shade = torch.where(pitch > 50, 0.8, torch.where(pitch < -50, 0.35, 0.6))
    picture = (shade[:, None] + 0.08 * torch.sin(yaw.deg2rad() * 12)).expand(3, -1, -1).clone()
    chosen: list[Tensor] = []
    for _ in range(50 * things):
        u = torch.rand(2, generator=g)
        place = torch.stack([u[0] * 360 - 180, (2 * u[1] - 1) * highest])
        apart = [float((_ray(place) @ _ray(other)).clamp(-1, 1).arccos().rad2deg()) for other in chosen]
        if min(apart, default=180.0) > 2.5 * radius:
            chosen.append(place)
        if len(chosen) == things:
            break
    else:
        raise LayoutError(f"{things} things of {radius} degrees find no room", hint="fewer, or smaller ones")
    masks = torch.zeros(2, *picture.shape[1:], dtype=torch.bool)
    for i, place in enumerate(chosen):
        colour = torch.tensor(((0.85, 0.15, 0.15), (0.15, 0.6, 0.2), (0.2, 0.3, 0.8))[0 if i == 0 else 1 + i % 2])
        here = (pixels @ _ray(place)) >= torch.tensor(radius).deg2rad().cos()
        picture[:, here] = colour[:, None]
        masks[min(i, 1)] |= here
    return Panorama(picture, torch.stack(chosen), radius, masks[0], masks[1])


def _ray(direction: Float[Tensor, "*s 2"]) -> Float[Tensor, "*s 3"]:
    yaw, pitch = direction.deg2rad().unbind(-1)
    return torch.stack([pitch.cos() * yaw.sin(), pitch.sin(), pitch.cos() * yaw.cos()], -1)
