from __future__ import annotations

from typing import Any

import pytest
import torch

import regard as rg
from regard.errors import CallError, LayoutError
from regard.explainers._clusters import k_means
from regard.subjects import drop
from regard.testing.planted import PlantedViT, planted_pictures

from .models import explained, values

X = planted_pictures([(2, 5), (6, 6)], dtype=torch.float64)


def dropped(model: PlantedViT, x: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    """Oracle 11: tokens gathered after the embedding; what is dropped is never computed."""
    patches = model.embed(x).flatten(2).transpose(1, 2)[:, keep]
    tokens = torch.cat([model.cls.expand(len(x), -1, -1), patches], dim=1)
    for block in model.blocks:
        tokens = block(tokens)
    return model.head(tokens[:, 0])[:, 1].detach()


def test_is_the_weighted_mean_of_forwards_without_the_dropped_tokens() -> None:
    model = PlantedViT(seed=2).double()
    got = values(explained(model, X, "tis", masks=6, keep=0.3, seed=4))
    kept: list[torch.Tensor] = []
    hooks = [b.register_forward_hook(lambda _, __, out: kept.append(out)) for b in model.blocks]
    model(X)
    for hook in hooks:
        hook.remove()
    seed = int(torch.randint(2**62, (), generator=torch.Generator().manual_seed(4)))
    for b in range(2):
        channels = torch.cat([t[b, 1:].T for t in kept]).detach()
        centres = k_means(channels, 6, torch.Generator().manual_seed(seed))
        total, count = torch.zeros(64, dtype=torch.float64), torch.zeros(64, dtype=torch.float64)
        for centre in centres:
            keep = centre.topk(19).indices.sort().values
            total[keep] += dropped(model, X[b : b + 1], keep)
            count[keep] += 1
        torch.testing.assert_close(got[b].flatten(), total / count.clamp_min(1))


def test_a_real_vit_can_drop_tokens_and_one_that_pools_them_cannot() -> None:
    vit = rg.model("random:vit_tiny_patch16_224")
    x = rg.image("sample:coffee", like=vit)
    made = explained(vit, x, "tis", 7, masks=2)
    assert made.forwards == 1 + 1 + 1 + 1 + 2 + 2, "record, target, grid, layers, shortened as masked, masks"
    pooled: Any = rg.model("random:vit_tiny_patch16_224")
    pooled.global_pool = "avg"
    with pytest.raises(CallError, match="also reads patch tokens"):
        explained(pooled, x, "tis", 7, masks=2)


def test_shortened_pictures_score_as_masked_keys_do(monkeypatch: pytest.MonkeyPatch) -> None:
    vit = rg.model("random:vit_tiny_patch16_224")
    x = rg.image("sample:coffee", like=vit)
    short = explained(vit, x, "tis", 7, masks=3, keep=0.2)
    longest: list[int] = []
    monkeypatch.setattr(drop, "PLACES", ())
    hook = vit.blocks[0].register_forward_pre_hook(lambda _, given: longest.append(given[0].shape[1]))
    masked = explained(vit, x, "tis", 7, masks=3, keep=0.2)
    hook.remove()
    assert set(longest) == {197}, "no picture was shortened"
    torch.testing.assert_close(values(short), values(masked), rtol=1e-4, atol=1e-5)


def test_refusals() -> None:
    with pytest.raises(LayoutError, match="4 masks of 0 of 64 patches"):
        explained(PlantedViT().double(), X, "tis", masks=4, keep=0.0)
