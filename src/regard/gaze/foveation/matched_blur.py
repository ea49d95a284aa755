"""Blur that leaves as much of a picture as another transform did: the control of claims about foveation."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from regard.errors import DegenerateError, LayoutError
from regard.gaze.foveation._shared import Fixation, Pictures, single
from regard.gaze.foveation.acuity import acuity
from regard.gaze.predictors._shared import blur

WINDOW, C1, C2 = 1.5, 0.01**2, 0.03**2  # of SSIM: its Gaussian in pixels, its constants for values in 0..1
STRONGEST, WEAKEST = {True: 0.002, False: 32.0}, {True: 64.0, False: 0.2}  # by whether it is foveated
PER_DEGREE = 78.0  # at which the gaze itself just resolves every pixel


Seen = Float[Tensor, "n c h w"]


@dataclass(frozen=True)
class Blur:
    """strength: sigma in pixels, or (foveated) the degrees at which `acuity` halves. Called on pictures it blurs."""

    strength: float
    foveated: bool

    def __call__(self, x: Pictures, fixation: Fixation) -> Pictures:
        return (
            acuity(x, fixation, per_degree=PER_DEGREE, half=self.strength) if self.foveated else blur(x, self.strength)
        )


def matched_blur(x: Pictures, seen: Seen, fixation: Fixation, *, foveated: bool = True, steps: int = 16) -> Blur:
    """The blur of x whose mean SSIM with x is that of `seen` with x, over all pictures together.

    foveated: `acuity` about the fixation, falling as fast as it takes from where every pixel is seen; else one Gaussian
    everywhere. Found by bisection, `steps` halvings. What is matched is how much is left, not which of it.

    x, seen [B, C, H, W] in 0..1; fixation (x, y) in pixels, one for each picture. Raises LayoutError for other sizes,
    DegenerateError where `seen` is x itself or differs from it more than any blur does.
    Source: Deza and Konkle 2020, who match uniform blur to foveated texture by SSIM.

    >>> import torch
    >>> x = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    >>> made = matched_blur(x, 0.5 * x + 0.25, (20.0, 20.0), foveated=False)
    >>> round(float(ssim(x, made(x, (20.0, 20.0))) - ssim(x, 0.5 * x + 0.25)), 3)
    0.0
    """
    at = single(fixation, x)
    if seen.shape != x.shape:
        raise LayoutError(f"pictures {list(x.shape)} and {list(seen.shape)}", hint="the same pictures, transformed")
    goal = float(ssim(x, seen))
    low, high = STRONGEST[foveated], WEAKEST[foveated]
    if not float(ssim(x, Blur(low, foveated)(x, at))) < goal < float(ssim(x, Blur(high, foveated)(x, at))):
        raise DegenerateError(f"an SSIM of {goal:.4f} that no blur has", hint="a transform that takes less, or more")
    for _ in range(steps):
        middle = math.sqrt(low * high)
        less = float(ssim(x, Blur(middle, foveated)(x, at))) < goal
        low, high = (middle, high) if less else (low, middle)
    return Blur(math.sqrt(low * high), foveated)


def ssim(x: Pictures, y: Pictures) -> Float[Tensor, ""]:
    """Structural similarity, mean over channels, places and pictures: Gaussian windows of 1.5 pixels, values in 0..1.

    Source: Wang, Bovik, Sheikh and Simoncelli 2004, doi 10.1109/TIP.2003.819861.

    >>> import torch
    >>> x = torch.rand(1, 1, 20, 20, generator=torch.Generator().manual_seed(0))
    >>> float(ssim(x, x)), float(ssim(x, 1 - x)) < 0
    (1.0, True)
    """
    mx, my = blur(x, WINDOW), blur(y, WINDOW)
    vx, vy = blur(x * x, WINDOW) - mx**2, blur(y * y, WINDOW) - my**2
    shared = blur(x * y, WINDOW) - mx * my
    return ((2 * mx * my + C1) * (2 * shared + C2) / ((mx**2 + my**2 + C1) * (vx + vy + C2))).mean()
