"""BMS: what is closed: regions of Boolean maps that do not touch the border."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from regard.gaze.predictors._shared import Pictures, as_map, blur, check_pictures, lab, shrunk
from regard.registry import method
from regard.subjects.values import MapValues

Array = NDArray[Any]
EIGHT = np.ones((3, 3), dtype=bool)


@method(
    "gaze.predictors",
    paper="bms",
    claim="a closed figure is found and one that touches the border is not, at every threshold; AUC .845 on OSIE",
    source="Zhang and Sclaroff 2013 and 2016",
    needs={"x"},
    differs="components by labelling, where the authors flood from the border (the same set)",
    unit="weighed Boolean maps",
)
def bms(
    x: Pictures, *, width: int = 400, step: int = 8, close: int = 7, spread: int = 9, sigma: float = 9.0
) -> MapValues:
    """Boolean map saliency: sum over thresholds, channels and both sides of what no border reaches.

    Lab is whitened over the picture and brought to 0..255; each channel is cut at thresholds `step` apart; components
    that touch the border are dropped, the rest dilated by `close` pixels and divided by its L2 norm, so that small
    figures count more. The sum is dilated by `spread` and blurred by `sigma` pixels.

    width: longer side in pixels at which it is computed, and of which close, spread and sigma speak; a smaller
    picture keeps its size, and the three shrink with it.

    x [B, 3, H, W] in 0..1; gives [B, h, w]. Raises ImageError for other pictures.

    >>> import torch
    >>> x = torch.zeros(1, 3, 40, 40); x[:, 0, 15:25, 15:25] = 1.0
    >>> values = bms(x).values[0]
    >>> bool(values[20, 20] > 5 * values[2, 2])
    True
    """
    check_pictures(x)
    small = shrunk(x, width)
    scale = max(small.shape[-2:]) / width
    near, far = max(1, round(close * scale)), max(1, round(spread * scale))
    maps = []
    for picture in lab(small):
        total = np.zeros(picture.shape[1:])
        for channel in whitened(picture).cpu().numpy():
            levels = np.rint(255 * (channel - channel.min()) / max(float(np.ptp(channel)), 1e-12)).astype(np.int64)
            for threshold in range(int(levels.min()), int(levels.max()), step):
                above = levels > threshold
                for side in (above, ~above):
                    total += _weighed(closed(side), near)
        peak = ndimage.grey_dilation(total, size=(far, far)) if far > 1 else total
        maps.append(torch.from_numpy(peak).to(x))
    return as_map(blur(torch.stack(maps), sigma * scale))


def whitened(picture: Float[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
    """Channels without their mean and with the identity as covariance, near to what they were (ZCA)."""
    flat = picture.flatten(1).double()
    flat = flat - flat.mean(1, keepdim=True)
    values, vectors = torch.linalg.eigh(flat @ flat.T / flat.shape[1])
    scale = (
        vectors @ torch.diag((values.clamp_min(0) + 1e-6 * float(values.max().clamp_min(1e-12))).rsqrt()) @ vectors.T
    )
    return (scale @ flat).view_as(picture).to(picture)


def closed(mask: Array) -> Array:
    """The components of a mask (eight neighbours) that do not touch the border."""
    labels, count = ndimage.label(mask, structure=EIGHT)
    keep = np.ones(count + 1, dtype=bool)
    keep[0] = False
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        keep[edge] = False
    inside: Array = keep[labels]
    return inside


def _weighed(mask: Array, close: int) -> Array:
    """Dilated, at length 1."""
    if not mask.any():
        return mask.astype(np.float64)
    grown = ndimage.maximum_filter(mask.astype(np.uint8), size=close) if close > 1 else mask
    return grown / np.sqrt(float(grown.sum()))
