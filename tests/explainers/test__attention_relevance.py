from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg
from regard.errors import CallError, DegenerateError
from regard.explainers._attention_relevance import Through, layers_on_grid
from regard.mechanisms import ALL
from regard.subjects.forward import Subject
from regard.subjects.scorer import Scorer

from .models import draw
from .test_lrp import bare_vit


class Block(nn.Module):
    """Pre-norm attention, fused or by hand, and an MLP."""

    def __init__(self, width: int, heads: int, *, by_hand: bool) -> None:
        super().__init__()
        self.heads, self.by_hand = heads, by_hand
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, 7), nn.Linear(7, width)

    def parts(self, x: Tensor) -> list[Tensor]:
        return [t.unflatten(2, (self.heads, -1)).transpose(1, 2) for t in self.qkv(self.norm1(x)).chunk(3, -1)]

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.parts(x)
        if self.by_hand:
            made = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1) @ v
        else:
            made = F.scaled_dot_product_attention(q, k, v)
        x = x + self.proj(made.transpose(1, 2).flatten(2))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Toy(nn.Module):
    """A ViT of two layers with biases everywhere and 3 x 4 patches."""

    def __init__(self, *, by_hand: bool = False) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            self.embed = nn.Conv2d(3, 6, 4, 4)
            self.cls = nn.Parameter(torch.randn(1, 1, 6))
            self.place = nn.Parameter(torch.randn(1, 13, 6))
            self.blocks = nn.ModuleList(Block(6, 2, by_hand=by_hand) for _ in range(2))
            self.norm, self.head = nn.LayerNorm(6), nn.Linear(6, 3)
        self.double().eval()

    def tokens(self, x: Tensor) -> Tensor:
        patches = self.embed(x).flatten(2).transpose(1, 2)
        return torch.cat([self.cls.expand(len(x), -1, -1), patches], 1) + self.place

    def forward(self, x: Tensor) -> Tensor:
        x = self.tokens(x)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


def linear(x: Tensor, layer: nn.Linear, back: Tensor) -> Tensor:
    """R_i = sum_j (w_ji x_i)+ / sum_k (w_jk x_k)+ R_j, one token after the other; 0 of what has no positive part."""
    rows = []
    for token, given in zip(x, back, strict=True):
        parts = (layer.weight * token).clamp_min(0)
        rows.append((parts / parts.sum(1, keepdim=True).clamp_min(1e-300) * given[:, None]).sum(0))
    return torch.stack(rows)


def summed(a: Tensor, b: Tensor, back: Tensor) -> tuple[Tensor, Tensor]:
    """Equations 9 and 10: shares by size, then each side scaled by the size of its own sum."""
    of_a, of_b = a / (a + b) * back, b / (a + b) * back
    sizes = of_a.sum().abs() + of_b.sum().abs()
    return tuple(one * (one.sum().abs() / sizes * back.sum()) / one.sum() for one in (of_a, of_b))  # type: ignore[return-value]


def block_back(block: Block, x: Tensor, back: Tensor) -> tuple[Tensor, Tensor]:
    """Relevance of the block's input, and of its attention matrices, for one picture; every share written out."""
    q, k, v = (t[0] for t in block.parts(x[None]))
    a = (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1)
    made = torch.einsum("hij,hjd->hid", a, v)
    flat = made.transpose(0, 1).flatten(1)
    attended = block.proj(flat)
    middle = x + attended
    hidden = block.fc1(block.norm2(middle))
    of_middle, of_mlp = summed(middle, block.fc2(F.gelu(hidden)), back)
    of_middle = of_middle + linear(block.norm2(middle), block.fc1, linear(F.gelu(hidden), block.fc2, of_mlp))
    of_x, of_attended = summed(x, attended, of_middle)
    of_made = linear(flat, block.proj, of_attended).unflatten(1, (block.heads, -1)).transpose(0, 1)
    contributions = torch.einsum("hij,hjd,hid->hijd", a, v, of_made / made)
    of_a, of_v = contributions.sum(3) / 2, contributions.sum(1) / 2
    pairs = torch.einsum("hid,hjd,hij->hijd", q, k, of_a / (q @ k.mT))
    of_q, of_k = pairs.sum(2) / 2, pairs.sum(1) / 2
    of_qkv = torch.cat([one.transpose(0, 1).flatten(1) for one in (of_q, of_k, of_v)], 1)
    return of_x + linear(block.norm1(x), block.qkv, of_qkv), of_a


def by_hand(model: Toy, x: Tensor, target: int) -> list[Tensor]:
    """R_A `[H, N, N]` of each layer for one picture."""
    given = [model.tokens(x[None])[0]]
    for block in model.blocks:
        given.append(block(given[-1][None])[0])
    parts = (model.head.weight[target] * model.norm(given[-1])[0]).clamp_min(0)
    back = torch.zeros_like(given[-1])
    back[0] = parts / parts.sum()
    found = []
    for block, one in zip(reversed(list(model.blocks)), reversed(given[:-1]), strict=True):
        back, of_a = block_back(block, one, back)  # type: ignore[arg-type]
        found.insert(0, of_a)
    return found


def scorer(model: nn.Module, x: Tensor) -> Scorer:
    return Scorer(Subject(model, x, ALL), 1)


def relevant(layer: Any) -> Tensor:
    return layer.call.probs() * (layer.share @ layer.call.values_per_head.mT) / 2


@pytest.mark.parametrize("by_hand_too", [False, True])
def test_is_relevance_handed_back_share_by_share(by_hand_too: bool) -> None:
    model, x = Toy(by_hand=by_hand_too), draw(2, 3, 12, 16)
    layers, grid, addresses = layers_on_grid(scorer(model, x))
    assert (grid, addresses) == (rg.Grid(3, 4, prefix=1), ["blocks.0", "blocks.1"])
    with torch.no_grad():
        wanted = [torch.stack(both) for both in zip(*(by_hand(model, one, 1) for one in x), strict=True)]
    for layer, explicit in zip(layers, wanted, strict=True):
        torch.testing.assert_close(relevant(layer), explicit)


def test_relevance_is_conserved_in_every_layer() -> None:
    """What enters each block sums to 1, whatever the sign of the score."""
    model, x = bare_vit(), draw(3, 3, 16, 16)
    given: list[Tensor] = []

    def note(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        given.append(args[0])
        return args

    hooks = [block.register_forward_pre_hook(note) for block in model.blocks]  # type: ignore[union-attr]
    for hook in hooks:
        assert hook
    score = scorer(model, x.requires_grad_())
    assert len(set(score.value.sign().tolist())) == 2
    given.clear()
    with Through("zplus", 0.0, {}):
        made = score.run(x)
        slopes = torch.autograd.grad((made / made.detach()).sum(), given)
    for one, slope in zip(given, slopes, strict=True):
        torch.testing.assert_close((one * slope).sum((1, 2)), torch.ones(3, dtype=torch.float64))


def test_the_planted_fault_a_product_that_is_not_halved_makes_relevance(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = Toy(by_hand=True), draw(1, 3, 12, 16)
    right = relevant(layers_on_grid(scorer(model, x))[0][0]).sum()
    monkeypatch.setattr("regard.explainers._attention_relevance.PRODUCTS", frozenset())
    assert relevant(layers_on_grid(scorer(model, x))[0][0]).sum() > 1.1 * right


def test_grouped_keys_share_what_their_heads_get() -> None:
    q, k, v = draw(1, 4, 5, 3), draw(1, 2, 5, 3, seed=1), draw(1, 2, 5, 3, seed=2)
    grouped, wide = ([q.clone().requires_grad_(), *(t.clone().requires_grad_() for t in (k, v))] for _ in range(2))
    with Through("zplus", 0.0, {}):
        one = F.scaled_dot_product_attention(*grouped, enable_gqa=True)
        other = F.scaled_dot_product_attention(wide[0], *(t.repeat_interleave(2, 1) for t in wide[1:]))
    back = draw(1, 4, 5, 3, seed=3)
    for a, b in zip(torch.autograd.grad(one, grouped, back), torch.autograd.grad(other, wide, back), strict=True):
        torch.testing.assert_close(a, b)


def test_refusals() -> None:
    model = Toy()
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
    with pytest.raises(DegenerateError, match="the score of class 1 is 0"):
        layers_on_grid(scorer(model, draw(1, 3, 12, 16)))
    q = draw(1, 2, 3, 4)
    with pytest.raises(CallError, match="drops weights at random"), Through("zplus", 0.0, {}):
        F.scaled_dot_product_attention(q, q, q, dropout_p=0.5)
