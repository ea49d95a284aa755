"""MDS-ViTNet: shapes at the published size, both decoders learn, the merge begins near their mean."""

from __future__ import annotations

import pytest
import torch

from regard.gaze.architectures.mds_vitnet import MDSViTNet

from .tools import counted, dots, learns, seeded


def small() -> MDSViTNet:
    return MDSViTNet(size=(32, 64), width=24, heads=3, depth=1, embed=12)


def test_shape_at_the_published_size() -> None:
    weights, shape = counted(MDSViTNet, 1, 3, 288, 384)
    assert shape == [1, 288, 384]
    assert weights == 122_535_325  # ours; the paper tells none


def test_the_merge_gives_the_mean_where_it_adds_nothing() -> None:
    model = seeded(small).eval()
    model.merge[-1].weight.data.zero_()
    model.merge[-1].bias.data.zero_()
    x = torch.randn(2, 3, 32, 64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(model(x), model.maps(x).mean(1), atol=1e-6)
    one, other = model.maps(x).unbind(1)
    assert not torch.allclose(one, other)


@pytest.mark.slow
def test_a_dot_is_learnt_by_both_decoders() -> None:
    x, at = dots((32, 64), n=2)
    model = seeded(small)
    assert learns(model, x, at, steps=20) > 3
    for decoder in model.decoders:
        assert all(bool(p.grad.any()) for n, p in decoder.named_parameters() if "context.0" in n and "weight" in n)
