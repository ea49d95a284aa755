"""Colours: perceptually uniform for one-sided values, diverging about zero for signed ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Colormap
from numpy.typing import NDArray
from PIL import Image

from regard.errors import LayoutError

SEQUENTIAL, DIVERGING, TABLE = "inferno", "coolwarm", "viridis"
Array = NDArray[Any]


def limits(values: Array, *, clip: float = 99.5) -> tuple[float, float, Colormap]:
    """Colour range and map: 0 .. the 99.5th percentile, or symmetric about 0 if any value is negative.

    The percentile keeps one extreme cell from turning all others black; a map of zeros gets a range of 1.
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0, colormaps[SEQUENTIAL]
    if finite.min() < 0:
        reach = float(np.percentile(np.abs(finite), clip)) or float(np.abs(finite).max())
        return -reach, reach, colormaps[DIVERGING]
    high = float(np.percentile(finite, clip)) or float(finite.max())
    return 0.0, high or 1.0, colormaps[SEQUENTIAL]


def resize(values: Array, size: tuple[int, int], *, smooth: bool = False) -> Array:
    """`[h, w]` or `[h, w, 3]` floats at size (height, width): in blocks, as the model has them, or smooth."""
    how = Image.Resampling.BILINEAR if smooth else Image.Resampling.NEAREST
    planes = values[..., None] if values.ndim == 2 else values
    scaled = [
        np.asarray(Image.fromarray(planes[..., i].astype(np.float32)).resize(size[::-1], how))
        for i in range(planes.shape[2])
    ]
    return scaled[0] if values.ndim == 2 else np.stack(scaled, axis=-1)


def as_bytes(photo: Array) -> Array:
    """A photo `[H, W, 3]` as uint8; floats are taken to lie in 0..1."""
    if photo.ndim != 3 or photo.shape[-1] != 3:
        raise LayoutError(
            f"a photo to draw on is [H, W, 3], got {list(photo.shape)}",
            hint="an array [H, W, 3], or what a model takes, [B, 3, H, W]",
        )
    if photo.dtype == np.uint8:
        return photo
    if not (photo.min() >= 0 and photo.max() <= 1):
        raise LayoutError(
            f"a photo of floats in {photo.min():.3g}..{photo.max():.3g}, not 0..1",
            hint="regard.image(path) without like= gives the photo itself, regard.look(...).seen what the model saw",
        )
    return (photo * 255).round().astype(np.uint8)


def as_photo(picture: Any, index: int = 0) -> Array:
    """A photo `[H, W, 3]` as uint8, from one, or from what a model takes: `[3, H, W]`, or `[B, 3, H, W]`, of which
    picture `index` (the only one serves all); tensors too. What a model takes was scaled for it: outside of 0..1 it is
    stretched between its least and its largest value."""
    array = np.asarray(picture.detach().cpu().float() if hasattr(picture, "detach") else picture)
    if array.ndim == 4:
        array = array[index if len(array) > 1 else 0]
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        array = np.moveaxis(array, 0, 2)
        if array.dtype != np.uint8 and not (array.min() >= 0 and array.max() <= 1):
            array = (array - array.min()) / max(float(array.max() - array.min()), 1e-12)
    return as_bytes(array)


def overlay(photo: Array, values: Array, *, strength: float = 0.8, smooth: bool = False) -> Array:
    """A map over a photo `[H, W, 3]` uint8 that stays readable: pale where values are small, coloured where large."""
    low, high, colours = limits(values)
    full = resize(np.nan_to_num(values), photo.shape[:2], smooth=smooth)
    unit = np.clip((full - low) / (high - low), 0, 1)
    coloured = colours(unit)[..., :3] * 255.0
    weight = np.abs(unit - 0.5) * 2 if low < 0 else unit
    grey = photo.mean(-1, keepdims=True)
    pale = 0.45 * photo + 0.25 * grey + 20.0
    alpha = strength * np.sqrt(weight)[..., None]
    return (pale * (1 - alpha) + coloured * alpha).clip(0, 255).astype(np.uint8)


def outline(photo: Array, mask: Array, *, colour: tuple[int, int, int] = (255, 214, 10)) -> Array:
    """A photo with the outside of a mask dimmed and its edge drawn."""
    full = resize(mask.astype(np.float32), photo.shape[:2], smooth=True) > 0.5
    width = max(1, round(min(photo.shape[:2]) / 140))
    drawn = np.where(full[..., None], photo, 0.45 * photo + 0.1 * photo.mean(-1, keepdims=True))
    drawn[_edge(full, width)] = colour
    return drawn.clip(0, 255).astype(np.uint8)


def _edge(mask: Array, width: int) -> Array:
    from scipy.ndimage import binary_dilation, binary_erosion

    grown = binary_dilation(mask, iterations=width)
    shrunk = binary_erosion(mask, iterations=width, border_value=1)
    edge: Array = grown & ~shrunk
    return edge


def as_rgb(components: Array) -> Array:
    """Up to three components `[K, h, w]` as colours `[h, w, 3]` in 0..1, each stretched over its 2..98 %."""
    planes = np.zeros((*components.shape[1:], 3))
    for i, plane in enumerate(components[:3]):
        low, high = np.percentile(plane, [2, 98])
        planes[..., i] = np.clip((plane - low) / max(high - low, 1e-12), 0, 1)
    return planes
