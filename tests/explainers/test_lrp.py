from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from regard.explainers import _relevance

from .models import Net, draw, explained, values


def bare_vit() -> nn.Module:
    """A ViT of three layers without a bias, a position or a token of its own."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = VisionTransformer(
            img_size=16, patch_size=4, embed_dim=24, depth=3, num_heads=3, num_classes=5, class_token=False,
            global_pool="avg", pos_embed="none",
        )  # fmt: skip
        for name, p in model.named_parameters():
            nn.init.zeros_(p) if name.endswith("bias") else nn.init.normal_(p, std=0.3) if p.ndim > 1 else None
    return model.double().eval()


@pytest.mark.parametrize("rule", ["zplus", "epsilon"])
def test_a_network_without_biases_conserves_the_score(rule: Any) -> None:
    for model, x in ((Net(bias=False), draw(2, 3, 9, 8)), (bare_vit(), draw(2, 3, 16, 16))):
        made = explained(model, x, "lrp", rule=rule, epsilon=0.0)
        assert made.gap < 1e-10
        torch.testing.assert_close(values(made).sum((1, 2)), model(x)[:, 1].detach())


def test_epsilon_of_relus_without_biases_is_input_times_gradient() -> None:
    model, x = Net(bias=False), draw(2, 3, 9, 8)
    ours = values(explained(model, x, "lrp", rule="epsilon", epsilon=0.0))
    torch.testing.assert_close(ours, values(explained(model, x, "input_x_gradient")))


def test_the_planted_fault_attention_that_is_not_held_breaks_conservation(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = bare_vit(), draw(2, 3, 16, 16)
    free = _relevance.Relevance.__torch_function__

    def unheld(self: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention:
            return func(*args, **(kwargs or {}))
        return free(self, func, types, args, kwargs)

    monkeypatch.setattr(_relevance.Relevance, "__torch_function__", unheld)
    assert explained(model, x, "lrp", epsilon=0.0).gap > 1e-3


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layers = nn.Sequential(
                nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, eps=1e-14), nn.ReLU(), nn.MaxPool2d(2),
                nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
            )  # fmt: skip
            for p in (*self.parameters(), self.layers[1].running_mean, self.layers[1].running_var):  # type: ignore[union-attr]
                nn.init.uniform_(p, 0.2, 1.0) if p.ndim == 1 else None

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rule", ["zplus", "epsilon"])
def test_equals_zennit(rule: Any) -> None:
    """Normalisation merged into the convolution: 1e-9 of the largest, all stabilisers at 1e-12. Zennit counts a
    positive bias into the zplus rule unless told otherwise, and leaves the normalisation's eps behind."""
    composites = pytest.importorskip("zennit.composites")
    attribution = pytest.importorskip("zennit.attribution")
    canonizers = pytest.importorskip("zennit.canonizers")
    rules = pytest.importorskip("zennit.rules")
    model, x = Small().double().eval(), draw(2, 3, 14, 13)
    of_conv = rules.ZPlus(1e-12, zero_params="bias") if rule == "zplus" else rules.Epsilon(1e-12)
    layers = [(nn.ReLU, rules.Pass()), (nn.AdaptiveAvgPool2d, rules.Norm(1e-12)), (nn.Conv2d, of_conv),
              (nn.Linear, rules.Epsilon(1e-12))]  # fmt: skip
    composite = composites.LayerMapComposite(layers, canonizers=[canonizers.SequentialMergeBatchNorm()])
    ours = values(explained(model, x, "lrp", rule=rule, epsilon=1e-12))
    with attribution.Gradient(model, composite) as run:
        out = model(x).detach()
        theirs = run(x, torch.eye(4).double()[[1, 1]] * out)[1].sum(1)
    assert float((ours - theirs).abs().max() / theirs.abs().max()) < 1e-9
