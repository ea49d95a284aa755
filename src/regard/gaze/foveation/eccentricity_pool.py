"""Pooling whose window grows away from the gaze, as in eccNET: inside a network, features instead of pixels."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError
from regard.gaze.foveation._shared import Fixation, Pictures, distances, read, single
from regard.registry import method

Pooled = Float[Tensor, "b c h w"]


@method(
    "gaze.foveation",
    paper="search-asymmetry",
    claim="equals a mean over each square by loops; slope 0 is average pooling",
    source="the published network's pooling",
    needs={"x", "fixation"},
    differs="windows of any size, by running sums, where they are rounded",
    unit="as x",
)
def eccentricity_pool(
    x: Pictures, fixation: Fixation, *, slope: float = 0.16, fovea: float = 120.0, window: float = 2.0, stride: int = 2
) -> Pooled:
    """Mean over a square of side w(e) = window + slope max(0, 2 e - fovea), every `stride` pixels.

    slope 0 is `avg_pool2d(x, window, stride)`. Windows may have any size: they are read from the running sums of the
    picture between its pixels, so that all cost the same and the result changes smoothly with the gaze. What reaches
    over the edge is cut, and the mean is over what is left. eccNET pools VGG16 with slopes 0, 0, .07, .16, .32 after
    its five stages and a fovea of 4 degrees of 30 pixels, each divided by the stride of the stage.

    x [B, C, H, W]; fixation (x, y), fovea (its diameter), e and window in pixels of x. Differentiable in x and, but
    where a pixel is at the fovea's rim, in the fixation. Raises LayoutError, DegenerateError, ImageError.
    Source: Gupta, Zhang, Wu, Wolfe and Kreiman 2021, "Visual Search Asymmetry".

    >>> import torch
    >>> eccentricity_pool(torch.arange(16.0).view(1, 1, 4, 4), (2.0, 2.0), slope=0.0)
    tensor([[[[ 2.5000,  4.5000],
              [10.5000, 12.5000]]]])
    """
    at = single(fixation, x)
    if slope < 0 or window < 1 or stride < 1 or fovea < 0:
        raise LayoutError(
            f"slope={slope}, fovea={fovea}, window={window}, stride={stride}", hint="none negative; 1 or more pixels"
        )
    height, width = x.shape[-2:]
    if min(height, width) < window:
        raise LayoutError(f"a window of {window} in {height} x {width}", hint="a smaller window")
    rows, columns = (
        torch.arange(int((side - window) // stride) + 1, dtype=x.dtype, device=x.device) * stride + window / 2
        for side in (height, width)
    )
    half = (window + slope * (2 * distances(at[:, None], rows, columns) - fovea).clamp_min(0)) / 2
    # sums[i, j] is of all above and left of (i, j), in float64: differences of large sums are taken
    sums = torch.nn.functional.pad(x.double().cumsum(2).cumsum(3), (1, 0, 1, 0))
    left, right = (columns - half).clamp_min(0), (columns + half).clamp_max(width)
    top, bottom = (rows[:, None] - half).clamp_min(0), (rows[:, None] + half).clamp_max(height)
    total = sum(
        sign * read(sums, _places(across, down), outside="border")
        for sign, across, down in ((1, right, bottom), (-1, left, bottom), (-1, right, top), (1, left, top))
    )
    mean: Tensor = total / ((right - left) * (bottom - top))[:, None]
    return mean.to(x.dtype)


def _places(across: Tensor, down: Tensor) -> Float[Tensor, "b h w 2"]:
    return torch.stack([across, down], -1).double() + 0.5
