"""`prepare`: a picture to what a model takes, with the part of the picture that it covers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from regard.errors import ImageError
from regard.models.facts import Facts
from regard.models.picture import MAX_PIXELS, Picture

PATCHES = 576  # how many patches a free-size model gets unless asked otherwise: 24 x 24 for a square
MAX_ASPECT = 64.0
CELL = 16  # pixels in place of a patch, for models of free size that have no patches
_FILTERS = {
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "lanczos": Image.Resampling.LANCZOS,
}


@dataclass(frozen=True)
class Prepared:
    """x is the model's input; seen `[H, W, 3]` uint8 is the same before normalisation; box (left, top,
    right, bottom) is the part of the original picture that it shows, in pixels."""

    x: Float[Tensor, "1 3 H W"]
    seen: NDArray[np.uint8]
    box: tuple[float, float, float, float]
    notes: tuple[str, ...]


def prepare(picture: Picture, facts: Facts, *, patches: int = PATCHES) -> Prepared:
    """Resize (and, for models of a fixed size, crop) as the model's facts say, then normalise.

    Raises ImageError for pictures over 64 times longer than wide (no model has seen such), and for less
    than one patch or more than would fill MAX_PIXELS.
    """
    aspect = picture.width / picture.height
    if max(aspect, 1 / aspect) > MAX_ASPECT:
        raise ImageError(
            f"'{picture.name}' is {picture.width} x {picture.height}: over {MAX_ASPECT:.0f} times longer than wide",
            hint="crop it to the part that matters",
        )
    notes = list(picture.notes)
    if facts.fit == "free":
        if not 1 <= patches <= MAX_PIXELS / (facts.patch or CELL) ** 2:
            raise ImageError(f"no picture can be cut into {patches} patches", hint=f"about {PATCHES}, or leave it out")
        seen, box = _free(picture, facts, patches, notes)
    else:
        seen, box = _crop(picture, facts, notes)
    if (times := seen.width / (box[2] - box[0])) > 4:
        notes.append(f"enlarged {times:.0f} times: it holds less detail than the model takes")
    pixels = torch.from_numpy(np.asarray(seen, dtype=np.float32) / 255.0).permute(2, 0, 1)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (facts.mean, facts.std))
    return Prepared(((pixels - mean) / std)[None], np.asarray(seen), box, tuple(notes))


def choose_grid(aspect: float, patches: int) -> tuple[int, int]:
    """Rows and columns near `patches` in number whose shape is nearest to `aspect` (width / height).

    cost = |log stretch| + 0.1 |log (rows x columns / patches)|; a picture on its side gets the grid on its side.
    From 160 patches on and for aspects to 16, the number is within 40 % of what was asked; else the shape wins.

    >>> choose_grid(4 / 3, 576), choose_grid(1.0, 576)
    ((21, 28), (24, 24))
    """
    if aspect < 1:
        columns, rows = choose_grid(1 / aspect, patches)
        return rows, columns

    def near(ideal: float) -> range:
        low, high = math.ceil(ideal * 0.85), math.floor(ideal * 1.15)
        return range(max(1, min(low, math.floor(ideal))), max(high, math.ceil(ideal)) + 1)

    def cost(grid: tuple[int, int]) -> float:
        rows, columns = grid
        return abs(math.log(columns / rows / aspect)) + 0.1 * abs(math.log(rows * columns / patches))

    by_rows = {(rows, max(1, round(rows * aspect))) for rows in near(math.sqrt(patches / aspect))}
    by_columns = {(max(1, round(columns / aspect)), columns) for columns in near(math.sqrt(patches * aspect))}
    return min(sorted(by_rows | by_columns), key=cost)


def _free(
    picture: Picture, facts: Facts, patches: int, notes: list[str]
) -> tuple[Image.Image, tuple[float, float, float, float]]:
    patch = facts.patch or CELL
    aspect = picture.width / picture.height
    rows, columns = choose_grid(aspect, patches)
    _note_stretch(columns / rows / aspect, "to fill whole patches", notes)
    if max(aspect, 1 / aspect) > 4:
        notes.append("much longer than wide: far from what the model was trained on")
    size = (columns * patch, rows * patch)
    return picture.to_pil().resize(size, _FILTERS[facts.interpolation]), _all_of(picture)


def _all_of(picture: Picture) -> tuple[float, float, float, float]:
    return 0.0, 0.0, float(picture.width), float(picture.height)


def _note_stretch(stretch: float, why: str, notes: list[str]) -> None:
    if abs(stretch - 1) > 0.02:
        notes.append(f"stretched by {100 * (stretch - 1):+.0f} % in width {why}")


def _crop(picture: Picture, facts: Facts, notes: list[str]) -> tuple[Image.Image, tuple[float, float, float, float]]:
    """Short side to size / crop, then the centre: to the pixel what timm and torchvision do in evaluation."""
    height, width = facts.size
    if height != width:
        stretch = width / height * picture.height / picture.width
        _note_stretch(stretch, f"to the model's fixed {width} x {height}", notes)
        whole = picture.to_pil().resize((width, height), _FILTERS[facts.interpolation])
        return whole, _all_of(picture)
    short = math.floor(height / facts.crop)
    if picture.width <= picture.height:
        size = (short, max(short, int(short * picture.height / picture.width)))
    else:
        size = (max(short, int(short * picture.width / picture.height)), short)
    resized = picture.to_pil().resize(size, _FILTERS[facts.interpolation])
    left, top = round((size[0] - width) / 2.0), round((size[1] - height) / 2.0)
    to_x, to_y = picture.width / size[0], picture.height / size[1]
    box = (left * to_x, top * to_y, (left + width) * to_x, (top + height) * to_y)
    share = (box[2] - box[0]) * (box[3] - box[1]) / (picture.width * picture.height)
    if share < 0.999:
        notes.append(f"the model sees the central {100 * share:.0f} % of the picture")
    return resized.crop((left, top, left + width, top + height)), box
