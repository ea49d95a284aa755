from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import CallError, LayoutError, SiteError
from regard.subjects.prompted import Prompted, prompted
from regard.testing.planted import PlantedCNN, PlantedViT, planted_pictures

X = planted_pictures([(2, 5), (5, 1)])


def model(seed: int = 0) -> Prompted:
    return Prompted(PlantedViT(), 3, at="blocks.1", norm="", seed=seed)


def test_logits_are_the_shared_heads_of_what_the_block_makes_of_each_prompt() -> None:
    made, vit = model(), PlantedViT()
    patches = vit.embed(X).flatten(2).transpose(1, 2)
    tokens = vit.blocks[0](torch.cat([vit.cls.expand(2, -1, -1), patches], 1))
    out = vit.blocks[1](torch.cat([made.prompts.expand(2, -1, -1), tokens], 1))
    torch.testing.assert_close(made(X), torch.stack([out[:, c] @ made.head for c in range(3)], 1))
    torch.testing.assert_close(made.tokens(X), tokens)


def test_logits_permute_with_the_prompts() -> None:
    made = model()
    before, order = made(X), torch.tensor([2, 0, 1])
    with torch.no_grad():
        made.prompts.copy_(made.prompts[order].clone())
    torch.testing.assert_close(made(X), before[:, order])


def test_learning_moves_prompts_and_head_alone() -> None:
    made = model()
    kept = [p.clone() for p in made.backbone.parameters()]
    seen = made.backbone(X).clone()
    losses = made.learn(X, torch.tensor([0, 2]), steps=30, rate=0.05, batch=4)
    assert losses[-1] < 0.8 * losses[0]
    assert all(torch.equal(a, b) for a, b in zip(kept, made.backbone.parameters(), strict=True))
    assert all(p.grad is None for p in made.backbone.parameters())
    assert torch.equal(made.backbone(X), seen)  # no hook is left
    made.train()
    assert not made.backbone.training


def test_the_same_seed_learns_the_same() -> None:
    first, second = model(), model(seed=5)
    for one in (first, second):
        with torch.no_grad():
            one.head.copy_(model().head)
        one.learn(X, torch.tensor([0, 2]), steps=3)
    assert torch.equal(first.prompts, second.prompts)


def test_refusals() -> None:
    with pytest.raises(LayoutError, match="prompts for 1 class"):
        Prompted(PlantedViT(), 1, at="blocks.1")
    with pytest.raises(SiteError, match=r"blocks\.7"):
        Prompted(PlantedViT(), 3, at="blocks.7")
    with pytest.raises(LayoutError, match="labels up to 3, 3 prompts"):
        model().learn(X, torch.tensor([0, 3]))
    with pytest.raises(CallError, match=r"works on \[2, 8, 8, 8\], not on tokens"):
        Prompted(PlantedCNN(), 3, at="features", norm="")(X)
    with pytest.raises(CallError, match="a PlantedViT has no class prompts"):
        rg.explain(PlantedViT(), X, method="prompt_cam")
    assert prompted(made := model()) is made
