"""Frequency tuned: how far each colour lies from the picture's mean."""

from __future__ import annotations

import torch

from regard.gaze.predictors._shared import Pictures, as_map, check_pictures, lab, shrunk
from regard.registry import method
from regard.subjects.values import MapValues


@method(
    "gaze.predictors",
    paper="frequency-tuned",
    claim="equals the distance of blurred Lab from the mean Lab; AUC .61 on 300 OSIE photos: colour alone says little",
    source="Achanta et al. 2009, equation 4",
    needs={"x"},
    differs="none at its own size; a larger picture is shrunk to width",
    unit="Lab distance",
)
def frequency_tuned(x: Pictures, *, width: int = 800) -> MapValues:
    """S = |mean of Lab - Lab blurred by the 5 x 5 binomial|, the mean over the whole picture.

    width: longer side in pixels at which it is computed at the most; smaller ones lose AUC (.606 at 400).

    x [B, 3, H, W] in 0..1; gives [B, h, w]. Raises ImageError for other pictures.

    >>> import torch
    >>> float(frequency_tuned(torch.full((1, 3, 6, 8), 0.5)).values.max()) < 1e-3
    True
    """
    check_pictures(x)
    colours = lab(shrunk(x, width))
    weights = colours.new_tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
    kernel = (weights[:, None] * weights).expand(3, 1, 5, 5)
    padded = torch.nn.functional.pad(colours, (2, 2, 2, 2), mode="replicate")
    smooth = torch.nn.functional.conv2d(padded, kernel, groups=3)
    return as_map((colours.mean((2, 3), keepdim=True) - smooth).norm(dim=1))
