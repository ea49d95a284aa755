from __future__ import annotations

import torch
from torch.nn import functional as F

from regard.testing.planted import PlantedCNN, planted_pictures

from .models import explained, values

X = planted_pictures([(2, 5), (6, 6)], dtype=torch.float64)


def test_is_activation_times_gradient_and_sums_to_the_score() -> None:
    """A ReLU, average pooling and a linear head: all that follows is homogeneous but for the head's bias."""
    model = PlantedCNN().double()
    model.head.bias.data += 0.7
    before = model.features(F.relu(model.stem(X))).detach()
    slope = (model.head.weight[1].view(1, -1, 1, 1) * (before > 0) / 64).detach()
    got = values(explained(model, X, "hirescam"))
    torch.testing.assert_close(got, (before * slope).sum(1))
    torch.testing.assert_close(got.sum((1, 2)), (model(X)[:, 1] - model.head.bias[1]).detach())


def test_is_grad_cam_where_gradients_are_constant() -> None:
    """Oracle: Grad-CAM = HiResCAM = CAM / (h w) before average pooling and a linear head."""
    from torch import nn

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 5, 4, 4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3)).double()
    cam = torch.einsum("k,bkhw->bhw", model[3].weight[1], model[0](X)).detach() / 64
    for name in ("gradcam", "hirescam", "xgradcam"):
        torch.testing.assert_close(values(explained(model, X, name)), cam)
