from __future__ import annotations

import torch
from torch.nn import functional as F

from regard.testing.planted import PlantedViT, planted_pictures

from .models import explained, values

X = planted_pictures([(2, 5)], dtype=torch.float64)


def test_is_the_weighted_mean_of_impacts_of_explicit_forwards() -> None:
    """Every channel is its own mask at distance 0; the paper's score with one draw of noise, mask by mask."""
    model = PlantedViT(seed=2).double()
    got = values(explained(model, X, "vit_cx", distance=0.0, noise=0.2, seed=3))
    tokens = torch.cat([model.cls, model.embed(X).flatten(2).transpose(1, 2)], dim=1)
    channels = model.blocks[0](tokens)[0, 1:].T.unflatten(1, (8, 8)).detach()
    noise = 0.2 * torch.randn(X.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    total, weight = torch.zeros(8, 8, dtype=torch.float64), torch.zeros(8, 8, dtype=torch.float64)

    def y(x: torch.Tensor) -> torch.Tensor:
        return model(x)[0, 1].detach()

    for channel in channels:
        mask = (channel - channel.min()) / (channel.max() - channel.min())
        full = F.interpolate(mask[None, None], (32, 32), mode="bilinear")
        hidden = noise * (1 - full)
        total += mask * (y(X * full + hidden) - y(X + hidden) + y(X))
        weight += mask
    torch.testing.assert_close(got[0], total / weight)


def test_clusters_are_averaged() -> None:
    """Channels that are alike make one mask, so there are fewer forwards."""
    model = PlantedViT(seed=2).double()
    all_of_them, few = (explained(model, X, "vit_cx", distance=d).forwards for d in (0.0, 0.9))
    assert few < all_of_them == 3 + 2 * 16 - 1
