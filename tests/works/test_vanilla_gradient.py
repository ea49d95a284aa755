"""vanilla-gradient works: the weights of a linear model, Captum's saliency, the planted patch of a trained network."""

from __future__ import annotations

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg
from regard.testing.marks import works

from .test_mamba_hidden_attention import CELLS, KINDS, textured
from .toys import seeded, train


def cnn(seed: int) -> nn.Module:
    with seeded(seed):
        return nn.Sequential(
            nn.Conv2d(3, 24, 4, 4), nn.ReLU(), nn.Conv2d(24, 24, 1), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(),
            nn.Linear(24, KINDS),
        )  # fmt: skip


def vit(seed: int) -> nn.Module:
    with seeded(seed):
        return VisionTransformer(
            img_size=16, patch_size=4, embed_dim=32, depth=2, num_heads=4, num_classes=KINDS, mlp_ratio=1
        )


@works("vanilla-gradient")
@pytest.mark.parametrize("make", [cnn, vit])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_planted_patch_holds_more_gradient_than_its_share_of_the_area(make: object, seed: int) -> None:
    """One of 16 cells decides the class: it holds over 3 times its share of the map's mass; a linear model's map is
    its absolute weights."""
    assert callable(make)
    model, draws = make(seed), torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        x, kind, _ = textured(64, draws)
        return F.cross_entropy(model(x), kind)

    train(model, loss, steps=250, rate=4e-3)
    x, kind, at = textured(100, draws)
    assert (model(x).argmax(1) == kind).float().mean() > 0.95
    heat = torch.from_numpy(rg.explain(model, x, method="gradient").values)
    cells = F.avg_pool2d(heat, 4).flatten(1)
    share = cells[torch.arange(100), at] / cells.sum(1)
    assert float(share.mean()) > 3 / CELLS

    linear = nn.Sequential(nn.Flatten(), nn.utils.skip_init(nn.Linear, 3 * 16 * 16, KINDS))
    with torch.no_grad():
        for p in linear.parameters():
            p.copy_(torch.randn(p.shape, generator=draws))
    got = rg.explain(linear, x[:2], method="gradient", target=4).values[0]
    assert torch.equal(torch.from_numpy(got), linear[1].weight[4].detach().view(3, 16, 16).abs().amax(0))


@works("vanilla-gradient")
@pytest.mark.peers
@pytest.mark.weights
def test_agrees_with_captums_saliency(efficientnet: nn.Module) -> None:
    attr = pytest.importorskip("captum.attr")
    x = rg.image("sample:coffee", like=efficientnet)
    theirs = attr.Saliency(efficientnet).attribute(x.clone().requires_grad_(), target=967).amax(1)
    ours = torch.from_numpy(rg.explain(efficientnet, x, method="gradient", target=967).values)
    assert float((ours - theirs).abs().max() / theirs.max()) < 1e-6
