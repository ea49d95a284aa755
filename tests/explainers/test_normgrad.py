from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import CallError

from .layers import Head, layer_of
from .models import Net, draw, explained, values


def parts(a: Tensor, g: Tensor, phase1: str) -> Tensor:
    """The contributions of each place, `[places, ...]`, formed explicitly for one picture."""
    h, w = a.shape[1:]
    around = F.pad(a, (1, 1, 1, 1))
    rows = []
    for i in range(h):
        for j in range(w):
            near = around[:, i : i + 3, j : j + 3]
            at, slope = a[:, i, j], g[:, i, j]
            rows.append(
                {
                    "conv1x1": torch.outer(at, slope),
                    "conv3x3": near[:, None] * slope[:, None, None],
                    "depthwise": near * slope[:, None, None],
                    "scaling": at * slope,
                    "bias": slope,
                }[phase1]
            )
    return torch.stack(rows).view(h, w, *rows[0].shape)


PHASE2 = {
    "norm": lambda p: p.flatten(2).square().sum(2).sqrt(),
    "filtered_norm": lambda p: p.flatten(2).clamp_min(0).square().sum(2).sqrt(),
    "sum": lambda p: p.flatten(2).sum(2),
    "max": lambda p: p.flatten(2).amax(2),
}


@pytest.mark.parametrize("phase2", PHASE2)
@pytest.mark.parametrize("phase1", ["conv1x1", "conv3x3", "depthwise", "scaling", "bias"])
def test_closed_forms_are_those_of_explicit_contributions(phase1: str, phase2: str) -> None:
    model, x = Head(), draw(2, 3, 8, 6)
    a, g = layer_of(model, x)
    got = values(explained(model, x, "normgrad", phase1=phase1, phase2=phase2, depth=-1))
    wanted = torch.stack([PHASE2[phase2](parts(a[b], g[b], phase1)) for b in range(2)])
    torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("phase1", ["conv1x1", "conv3x3", "depthwise", "scaling", "bias"])
def test_contributions_sum_to_the_weight_gradient_of_an_identity_layer(phase1: str) -> None:
    """The paper's definition: a layer that does nothing, inserted after the features, and autograd."""
    model, x = Head(), draw(1, 3, 8, 6)
    a, g = layer_of(model, x)
    eye = torch.eye(4, dtype=torch.float64)
    weight = {
        "conv1x1": eye[:, :, None, None],
        "conv3x3": F.pad(eye[:, :, None, None], (1, 1, 1, 1)),
        "depthwise": F.pad(torch.ones(4, 1, 1, 1, dtype=torch.float64), (1, 1, 1, 1)),
        "scaling": torch.ones(1, 4, 1, 1, dtype=torch.float64),
        "bias": torch.zeros(1, 4, 1, 1, dtype=torch.float64),
    }[phase1].requires_grad_()
    layer = {
        "conv1x1": lambda z: F.conv2d(z, weight),
        "conv3x3": lambda z: F.conv2d(z, weight, padding=1),
        "depthwise": lambda z: F.conv2d(z, weight, padding=1, groups=4),
        "scaling": lambda z: z * weight,
        "bias": lambda z: z + weight,
    }[phase1]
    y = (model.weight[1] * layer(model.features(x)).tanh()).sum()
    (gradient,) = torch.autograd.grad(y, weight)
    total = parts(a[0], g[0], phase1).sum((0, 1))
    if phase1 in ("conv1x1", "conv3x3"):
        total = total.transpose(0, 1)  # weights are [out, in]
    torch.testing.assert_close(total.reshape(gradient.shape), gradient)


def test_layers_are_combined_by_the_product_of_stretched_maps() -> None:
    model, x = Net(bias=True), draw(2, 3, 12, 12)
    got = explained(model, x, "normgrad", combine=3)
    assert got.site == "first * pool * act"
    product = torch.ones(2, 12, 12, dtype=torch.float64)
    for at in (0, 1, 2):
        one = values(explained(model, x, "normgrad", depth=at))
        low, high = one.amin((1, 2), keepdim=True), one.amax((1, 2), keepdim=True)
        product *= F.interpolate(((one - low) / (high - low))[:, None], (12, 12), mode="bilinear")[:, 0]
    torch.testing.assert_close(values(got), product)


def test_refusals() -> None:
    with pytest.raises(CallError, match="no layer 7: there are 1"):
        explained(Head(), draw(1, 3, 8, 6), "normgrad", depth=7)
