from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import regard as rg
from regard.errors import LayoutError, SiteError
from regard.testing.planted import PlantedCNN, PlantedViT, planted_pictures

X = planted_pictures([(2, 5), (6, 6)], dtype=torch.float64)


def test_equals_cam_for_average_pooling_and_a_linear_head() -> None:
    model = PlantedCNN().double()
    features = F.relu(model.features(F.relu(model.stem(X)))).detach()
    cam = torch.einsum("k,bkhw->bhw", model.head.weight[1], features)
    got = rg.explain(model, X, method="gradcam", target=1)
    # the tapped layer is the last convolution; the ReLU between it and the pooling gates the gradient
    before = model.features(F.relu(model.stem(X))).detach()
    gate = (before > 0).double()
    weights = (model.head.weight[1].view(1, -1, 1, 1) * gate / 64).mean((2, 3), keepdim=True)
    torch.testing.assert_close(torch.from_numpy(got.values), (weights * before).sum(1))

    class WithModule(PlantedCNN):
        """The same network, its last activation a module: now the tapped layer is what is pooled."""

        def __init__(self) -> None:
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.act(self.features(F.relu(self.stem(x)))).mean((2, 3)))

    again = rg.explain(WithModule().double(), X, method="gradcam", target=1)
    assert again.site == "act"
    torch.testing.assert_close(torch.from_numpy(again.values), cam.detach() / 64)


def test_equals_hooks_and_autograd_by_hand(efficientnet: nn.Module) -> None:
    x = rg.image("sample:coffee", like=efficientnet)
    kept: list[torch.Tensor] = []
    hook = efficientnet.bn2.register_forward_hook(lambda _, __, out: kept.append(out))  # type: ignore[union-attr]
    logit = efficientnet(x)[0, 967]
    hook.remove()
    (gradient,) = torch.autograd.grad(logit, kept[0])
    slow = (gradient.mean((2, 3), keepdim=True) * kept[0]).sum(1).detach()
    got = rg.explain(efficientnet, x, method="gradcam", target=967)
    assert (got.site, got.target, got.forwards) == ("bn2", "espresso", 2)
    torch.testing.assert_close(torch.from_numpy(got.values), slow, rtol=1e-4, atol=1e-6)


def test_a_vit_is_tapped_before_its_last_block() -> None:
    """Behind it a CLS head gives patches no gradient: the trap this choice avoids."""
    model = PlantedViT().double()
    got = rg.explain(model, X, method="gradcam", target=1)
    assert got.site == "input of blocks.1"
    assert got.values.std() > 0
    tapped: list[torch.Tensor] = []
    hook = model.blocks[1].register_forward_hook(lambda _, __, out: tapped.append(out))
    logit = model(X)[:, 1].sum()
    hook.remove()
    (gradient,) = torch.autograd.grad(logit, tapped[0])
    assert torch.equal(gradient[:, 1:], torch.zeros_like(gradient[:, 1:]))


def test_relu_is_an_option_and_signs_are_kept_without_it() -> None:
    model = PlantedCNN().double()
    signed = rg.explain(model, -X, method="gradcam", target=0, site="features")
    cut = rg.explain(model, -X, method=partial(rg.explainers.gradcam, relu=True), target=0, site="features")
    assert signed.values.min() < 0
    torch.testing.assert_close(torch.from_numpy(cut.values), torch.from_numpy(signed.values).clamp_min(0))


def test_a_layer_can_be_chosen() -> None:
    model = PlantedCNN().double()
    assert rg.explain(model, X, method="gradcam", target=1, site="stem").site == "stem"
    with pytest.raises(SiteError, match="stam") as caught:
        rg.explain(model, X, method="gradcam", target=1, site="stam")
    assert "'stem'" in caught.value.hint


def test_a_model_without_class_scores_is_refused() -> None:
    class Features(PlantedCNN):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.stem(x)

    with pytest.raises(LayoutError, match=r"the model returns \[1, 8, 8, 8\], not class scores"):
        rg.explain(Features().double(), X[:1], method="gradcam")
