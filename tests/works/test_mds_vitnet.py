"""mds-vitnet works: both decoders learn, and what is merged of them is no worse than the better."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.gaze.architectures.mds_vitnet import MDSViTNet
from regard.testing.marks import works

from .squares import cross_entropy, looked, scenes
from .toys import seeded, train

INPUT = (32, 64)


def viewers(n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Scenes of squares enlarged to the network's input; people look at the red square."""
    x, at = scenes(n, g)
    return F.interpolate(x, INPUT, mode="nearest"), looked(at[:, 0], g)


def cc(logits: Tensor, counts: Tensor) -> float:
    """Mean correlation with people's blurred map."""
    people = F.avg_pool2d(F.avg_pool2d(counts[:, None], 3, 1, 1), 3, 1, 1)[:, 0].flatten(1)
    both = [v - v.mean(1, keepdim=True) for v in (logits.flatten(1).softmax(1), people)]
    return float(F.cosine_similarity(*both, dim=1).mean())


def laid(logits: Tensor) -> Tensor:
    """Logits over the scenes' own cells."""
    return F.adaptive_avg_pool2d(logits, (16, 24))


@works("mds-vitnet")
def test_the_merged_map_is_no_worse_than_the_better_decoder() -> None:
    """Shapes; gradients in both decoders; CC on fresh scenes within 0.02 of the better decoder's, and above 0.2."""
    g = torch.Generator().manual_seed(0)
    with seeded(0):
        model = MDSViTNet(size=INPUT, width=24, heads=3, depth=1, embed=12)
    x, counts = viewers(2, g)
    assert model(x).shape == (2, *INPUT)
    cross_entropy(laid(model(x)), counts).backward()
    for decoder in model.decoders:
        assert all(bool(p.grad.any()) for p in decoder.last.parameters() if p.grad is not None)
        assert decoder.context[0].enter.weight.grad.abs().sum() > 0

    def loss() -> Tensor:
        x, counts = viewers(6, g)
        both = model.maps(x)
        merged = both.mean(1) + model.merge(both)[:, 0]
        return cross_entropy(laid(merged), counts) + cross_entropy(laid(both), counts[:, None].expand(-1, 2, -1, -1))

    train(model, loss, steps=45, rate=3e-3)
    x, counts = viewers(40, torch.Generator().manual_seed(99))
    with torch.no_grad():
        one, other = (cc(laid(m), counts) for m in model.maps(x).unbind(1))
        merged = cc(laid(model(x)), counts)
    assert merged >= max(one, other) - 0.02
    assert merged > 0.2
