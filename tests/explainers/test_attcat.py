from __future__ import annotations

import torch

from regard.testing.planted import PlantedViT, planted_pictures

from .matrices import attention_of
from .models import explained, values

X = planted_pictures([(2, 5), (6, 6)], dtype=torch.float64)


def test_is_tokens_times_gradients_weighted_by_attention() -> None:
    model = PlantedViT(seed=2).double()
    kept: list[torch.Tensor] = []
    hooks = [b.register_forward_hook(lambda _, __, out: kept.append(out)) for b in model.blocks]
    y = model(X)[:, 1].sum()
    gradients = torch.autograd.grad(y, kept)
    for hook in hooks:
        hook.remove()
    wanted = torch.zeros(2, 65, dtype=torch.float64)
    for a, h, g in zip(attention_of(model, X), kept, gradients, strict=True):
        wanted += a.mean(1)[:, 0] * (h * g).sum(-1).detach()
    got = explained(model, X, "attcat")
    torch.testing.assert_close(values(got).flatten(1), wanted[:, 1:])
    assert (got.site, got.forwards) == ("blocks.0 .. blocks.1", 4)
