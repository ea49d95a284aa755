"""headhunter-softpag works: the ends of the mix, one head by itself, and heads chosen for an objective."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg
from regard.testing.marks import works

from .toys import Block, Head, on, random_heads, seeded, train

STEPS, LAYERS, HEADS = 50, 2, 6
ALL = [(layer, head) for layer in range(LAYERS) for head in range(HEADS)]
KEPT = (1 - torch.linspace(1e-4, 0.15, STEPS)).cumprod(0)  # share of the picture's variance at each noise step
SCALE, CHOSEN = 4.0, 2


def tiles() -> Tensor:
    """The 14 tiles of 2 x 2 black and white pixels that are not of one colour."""
    bits = torch.arange(16)[:, None] >> torch.arange(4) & 1
    mixed = bits[(bits.sum(1) > 0) & (bits.sum(1) < 4)]
    return (2.0 * mixed - 1).view(-1, 2, 2)


def wallpaper(left: Tensor, right: Tensor) -> Tensor:
    """Pictures of 8 x 8: a tile repeated over the left half, another over the right."""
    return torch.cat([left.repeat(1, 4, 2), right.repeat(1, 4, 2)], dim=2)


class Denoiser(nn.Module):
    """Predicts the clean picture from 16 noisy patches of 2 x 2."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        with seeded(0):
            self.embed, self.steps = nn.Linear(4, width), nn.Embedding(STEPS, width)
            self.places = nn.Parameter(0.1 * torch.randn(16, width))
            self.blocks = nn.ModuleList(Block(width, HEADS, causal=False) for _ in range(LAYERS))
            self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, 4)

    def forward(self, x: Tensor, step: Tensor) -> Tensor:
        tokens = self.embed(x.view(-1, 4, 2, 4, 2).transpose(2, 3).reshape(-1, 16, 4))
        tokens = tokens + self.places + self.steps(step)[:, None]
        for block in self.blocks:
            tokens = block(tokens)
        return self.out(self.norm(tokens)).view(-1, 4, 4, 2, 2).transpose(2, 3).reshape(-1, 8, 8)


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    model, draws = Denoiser(), torch.Generator().manual_seed(0)

    def loss() -> Tensor:
        left, right = (tiles()[torch.randint(14, (64,), generator=draws)] for _ in range(2))
        x = wallpaper(left, right)
        step = torch.randint(STEPS, (64,), generator=draws)
        kept = KEPT[step].view(-1, 1, 1)
        noisy = kept.sqrt() * x + (1 - kept).sqrt() * torch.randn(x.shape, generator=draws)
        return F.mse_loss(model(noisy, step), x)

    train(model, loss, steps=100, rate=4e-3)
    return model


@torch.no_grad()
def generate(model: Denoiser, noise: Tensor, heads: list[Head], scale: float = SCALE, strength: float = 1.0) -> Tensor:
    """Ten deterministic steps, each led away from what the model would say if `heads` looked at themselves only."""
    x, times = noise, torch.linspace(STEPS - 1, 0, 10).long()
    for time, later in zip(times, [*KEPT[times[1:]], torch.ones(())], strict=True):
        step = time.expand(len(x))
        clean = model(x, step)
        if heads:
            with rg.edit(model, on(heads, lambda some: rg.edits.identity(strength, heads=some))):
                clean = clean + scale * (clean - model(x, step))
        error = (x - KEPT[time].sqrt() * clean) / (1 - KEPT[time]).sqrt()
        x = later.sqrt() * clean + (1 - later).sqrt() * error
    return x


def off(x: Tensor) -> float:
    """The objective: mean squared distance from the nearest of the 196 wallpapers. 1.45 for noise."""
    every = torch.cat([wallpaper(tile.expand(14, 2, 2), tiles()) for tile in tiles()])
    return float((x[:, None] - every).square().mean((2, 3)).amin(1).mean())


def hunted(model: Denoiser, noise: Tensor) -> tuple[list[Head], list[Head]]:
    """One head after the other, the one that serves the objective best; and those that serve worst by themselves."""

    def with_one_more(chosen: list[Head]) -> list[Head]:
        left = [head for head in ALL if head not in chosen]
        return sorted(left, key=lambda head: off(generate(model, noise, [*chosen, head])))

    first = with_one_more([])
    chosen = first[:1]
    while len(chosen) < CHOSEN:
        chosen.append(with_one_more(chosen)[0])
    return chosen, first[-CHOSEN:]


@works("headhunter-softpag")
def test_heads_hunted_for_the_objective_serve_it_better_than_random_heads(denoiser: Denoiser) -> None:
    """Two of twelve, hunted on 128 noises and judged on 256 others: .293 from the nearest wallpaper.

    Without guidance .476, with two random heads .330 (12 draws, which hold the same two once). The planted fault: the
    two that serve worst by themselves reach .390.
    """
    draws = torch.Generator().manual_seed(2)
    first, second = (torch.randn(count, 8, 8, generator=draws) for count in (128, 256))
    chosen, worst = hunted(denoiser, first)
    chance = [off(generate(denoiser, second, random_heads(LAYERS, HEADS, CHOSEN, draws))) for _ in range(12)]
    found, plain = off(generate(denoiser, second, chosen)), off(generate(denoiser, second, []))
    bad = off(generate(denoiser, second, worst))
    assert found < plain - 0.1
    assert found < sum(chance) / len(chance) - 0.015
    assert sum(found < one for one in chance) >= 10
    assert bad > sum(chance) / len(chance)


@works("headhunter-softpag")
def test_strength_0_guides_nowhere_and_1_is_identity_attention_exactly(denoiser: Denoiser) -> None:
    """Bit for bit: with strength 0 guided pictures are the plain ones; with 1 weights are I and outputs are v."""
    noise = torch.randn(8, 8, 8, generator=torch.Generator().manual_seed(3))
    assert torch.equal(generate(denoiser, noise, ALL, strength=0.0), generate(denoiser, noise, []))
    assert not torch.equal(generate(denoiser, noise, ALL, strength=0.1), generate(denoiser, noise, []))
    with (
        torch.no_grad(),
        rg.edit(denoiser, rg.edits.identity(1.0)),
        rg.watch(denoiser, keep=["probs", "out", "v"]) as record,
    ):
        denoiser(noise, torch.full((8,), 20))
    for reading in record:
        assert torch.equal(reading["probs"], torch.eye(16).expand(8, HEADS, 16, 16))
        assert torch.equal(reading["out"], reading["v"])


@works("headhunter-softpag")
@pytest.mark.parametrize("head", range(HEADS))
def test_a_change_of_one_head_leaves_the_others_untouched(denoiser: Denoiser, head: int) -> None:
    """Weights and outputs of the layer's other heads keep every bit; the changed one is half the identity."""
    noise, step = torch.randn(8, 8, 8, generator=torch.Generator().manual_seed(3)), torch.full((8,), 20)
    made = []
    for strength in (0.0, 0.5):
        edit = rg.edits.identity(strength, heads=[head])
        with torch.no_grad(), rg.edit(denoiser, edit), rg.watch(denoiser, keep=["probs", "out"]) as record:
            denoiser(noise, step)
        made.append(record["blocks.0.attn"])
    plain, mixed = made
    others = [other for other in range(HEADS) if other != head]
    for field in ("probs", "out"):
        assert torch.equal(mixed[field][:, others], plain[field][:, others])
    wanted = 0.5 * plain["probs"][:, head] + 0.5 * torch.eye(16)
    assert (mixed["probs"][:, head] - wanted).abs().max() < 1e-6
