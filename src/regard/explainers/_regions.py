"""Regions of a picture at several scales, and how a set of them grows by the density of an attribution."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

SIDE, SCALES, LEAST, REACH = 224, (50, 100, 150, 250, 500, 1200), 150, 5  # for a picture of 224 x 224 pixels


def felzenszwalb_regions(picture: Float[Tensor, "c H W"]) -> Bool[Tensor, "n H W"]:
    """Overlapping regions of like colour at six scales, each widened by a disc.

    As XRAI's authors make them at 224 x 224 pixels; a smaller picture is not enlarged for it: sizes shrink with it.
    """
    from skimage.segmentation import felzenszwalb
    from skimage.transform import resize

    height, width = picture.shape[1:]
    image = picture.detach().permute(1, 2, 0).cpu().double().numpy()
    span = max(float(image.max() - image.min()), 1e-12)
    image = 2 * (image - image.min()) / span - 1
    share = min(1.0, height * width / SIDE**2)
    if share == 1.0:
        image = resize(image, (SIDE, SIDE), order=3, mode="constant", preserve_range=True, anti_aliasing=True)
    made = []
    for scale in SCALES:
        found = felzenszwalb(image, scale=scale * share, sigma=0.8, min_size=max(2, round(LEAST * share)))
        if found.shape != (height, width):
            found = resize(found, (height, width), order=0, preserve_range=True, mode="constant", anti_aliasing=False)
        labels = torch.from_numpy(np.unique(found.astype(int), return_inverse=True)[1].reshape(height, width))
        made.append(F.one_hot(labels).permute(2, 0, 1).bool())
    return widened(torch.cat(made), max(1, round(REACH * share**0.5)))


def widened(regions: Bool[Tensor, "n H W"], reach: int) -> Bool[Tensor, "n H W"]:
    """Each region with all pixels within `reach` of it."""
    offsets = torch.arange(-reach, reach + 1)
    disc = (offsets[:, None].square() + offsets.square() <= reach**2).float()
    near = F.conv2d(regions.float()[:, None], disc[None, None], padding=reach)
    return near[:, 0] > 0.5


def grow(
    attribution: Float[Tensor, "H W"], regions: Bool[Tensor, "n H W"], least: int
) -> tuple[Float[Tensor, "H W"], list[int]]:
    """Regions in the order in which each adds the highest mean attribution on its new pixels; the map of these means.

    A region that adds fewer than `least` pixels is left out; pixels that none covers get their own mean. Sums are
    kept up to date by the pixels that each step covers, so that all steps together cost one pass over the regions.
    """
    flat, masks = attribution.double().flatten(), regions.flatten(1)
    made, free = torch.zeros_like(flat), torch.ones_like(flat, dtype=torch.bool)
    count, total = masks.sum(1), masks.double() @ flat
    order: list[int] = []
    while bool((count >= least).any()):
        density = torch.where(count >= least, total / count.clamp_min(1), -torch.inf)
        best = int(density.argmax())
        new = masks[best] & free
        made[new] = density[best]
        free &= ~new
        order.append(best)
        gone = masks[:, new]
        count = count - gone.sum(1)
        total = total - gone.double() @ flat[new]
    if bool(free.any()):
        made[free] = flat[free].mean()
    return made.view(attribution.shape), order
