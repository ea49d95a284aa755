from __future__ import annotations

import pytest
import torch

from regard.errors import DegenerateError
from regard.testing.planted import PlantedViT, planted_pictures

from .layers import Head, layer_of
from .models import draw, explained, values


def test_is_the_share_of_the_score_lost_with_each_channel() -> None:
    model, x = Head(), draw(2, 3, 8, 6)
    a, _ = layer_of(model, x)
    y = model(x)[:, 1].detach()
    wanted = torch.zeros(2, 4, 3, dtype=torch.float64)
    for k in range(4):
        rest = a.clone()
        rest[:, k] = 0.0
        left = (model.weight[1] * rest.tanh()).flatten(1).sum(1).detach()
        wanted += ((y - left) / y)[:, None, None] * a[:, k]
    torch.testing.assert_close(values(explained(model, x, "ablationcam")), wanted)


def test_for_a_linear_head_it_has_grad_cams_direction() -> None:
    """y - y_k = w_k sum A_k / (h w), so weights are Grad-CAM's times each channel's mean."""
    from torch import nn

    x = planted_pictures([(2, 5)], dtype=torch.float64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 5, 4, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3)).double()
    a = model[0](x).detach()
    weights = model[3].weight[1].detach() * a.mean((2, 3))[0] / model(x)[0, 1].detach()
    wanted = torch.einsum("k,bkhw->bhw", weights, a)
    torch.testing.assert_close(values(explained(model, x, "ablationcam")), wanted)


def test_tokens_are_ablated_by_channel_and_the_prefix_stays() -> None:
    model, x = PlantedViT().double(), planted_pictures([(2, 5)], dtype=torch.float64)
    made = explained(model, x, "ablationcam", 1)
    assert made.values.std() > 0


def test_refusals() -> None:
    model = Head()
    model.weight.data.zero_()
    with pytest.raises(DegenerateError, match="the score of class 1 is 0"):
        explained(model, draw(1, 3, 8, 6), "ablationcam")
