from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from regard.errors import MethodError
from regard.explainers.rise import smooth_masks
from regard.subjects.detection import Detection

from .models import draw, explained, values


class Stub(nn.Module):
    """One box, as sure as its own left half is bright; its class turns with the brightness of the right half."""

    def forward(self, x: Tensor) -> list[dict[str, Tensor]]:
        found = []
        for one in x:
            left, right = one[..., : x.shape[3] // 2].mean(), one[..., x.shape[3] // 2 :].mean()
            turned = torch.stack([torch.ones_like(right), right])[None]
            box = torch.tensor([[2.0, 1, 6, 7]], dtype=x.dtype)
            found.append({"boxes": box, "probabilities": turned, "objectness": left.sigmoid()[None]})
        return found


def test_equals_the_weighted_sum_of_similarities() -> None:
    model, x = Stub(), draw(2, 3, 9, 8, seed=4)
    target = Detection.of(model(x), picture=1)
    made = explained(model, x, "d_rise", target=target, forwards=17, cells=3)
    generator = torch.Generator().manual_seed(0)
    masks = torch.cat([smooth_masks(min(8, 17 - at), 3, 0.5, x, generator) for at in range(0, 17, 8)])
    for b in range(2):
        weights = []
        for mask in masks:
            (one,) = model(x[b : b + 1] * mask)
            p, own = one["probabilities"][0], target.probabilities
            weights.append(float(p @ own / p.norm() / own.norm() * one["objectness"][0]))  # the box stays: IoU 1
        w = torch.tensor(weights, dtype=x.dtype)
        wanted = (w[:, None, None] * masks).sum(0) / masks.sum(0) - w.mean()
        torch.testing.assert_close(values(made)[b], wanted)
    assert made.target == "class 0 in 2,1..6,7"


def test_a_target_that_is_no_detection_is_refused() -> None:
    model, x = Stub(), draw(1, 3, 9, 8)
    with pytest.raises(MethodError, match=r"(?s)is no detection.*Detection\.of"):
        explained(model, x, "d_rise", target=lambda found: torch.stack([one["objectness"][0] for one in found]))


@pytest.mark.slow
def test_a_detector_of_torchvision_is_explained_as_it_is() -> None:
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = fasterrcnn_mobilenet_v3_large_320_fpn(
            weights=None, weights_backbone=None, box_score_thresh=0.0, min_size=96, max_size=96
        ).eval()
    x = draw(1, 3, 96, 96).float().sigmoid()
    with torch.no_grad():
        found = model(x)
    target = Detection.of(found, 0, classes=91)
    assert float(target(found)) == pytest.approx(1.0)
    made = explained(model, x, "d_rise", target=target, forwards=16, cells=4)
    assert made.values.shape == (1, 96, 96)
    assert made.values.std() > 0
