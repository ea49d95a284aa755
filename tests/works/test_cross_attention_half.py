"""cross-attention-half works: planted attention, shuffled attention, and a reader trained on a toy language."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg
from regard.claims import half_explanation
from regard.testing.marks import works

FRAMES, TOKENS, WIDTH, HEADS, LAYERS, KINDS = 12, 4, 32, 4, 2, 5


class Reader(nn.Module):
    """An encoder of one convolution and a decoder whose queries are places in the output: two layers that cross."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Sequential(nn.Conv1d(KINDS, WIDTH, 3, padding=1), nn.GELU(), nn.Conv1d(WIDTH, WIDTH, 1))
        self.place = nn.Parameter(torch.randn(FRAMES, WIDTH) * 0.5)
        self.ask = nn.Parameter(torch.randn(TOKENS, WIDTH) * 0.5)
        self.cross = nn.ModuleList(Cross() for _ in range(LAYERS))
        self.read = nn.Linear(WIDTH, KINDS)

    def forward(self, x: Tensor) -> Tensor:
        memory = self.encode(x).mT + self.place
        asked = self.ask.expand(len(x), -1, -1)
        for layer in self.cross:
            asked = layer(asked, memory)
        return self.read(asked)


class Cross(nn.Module):
    """Attention from output places to frames, then a small net; both added."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.kv, self.out = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))

    def forward(self, asked: Tensor, memory: Tensor) -> Tensor:
        q, k, v = (t.unflatten(-1, (HEADS, -1)).transpose(1, 2) for t in (self.q(asked), *self.kv(memory).chunk(2, -1)))
        asked = asked + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return asked + self.mlp(asked)


def language(n: int, g: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each output token is the kind that is loud in its third of a second: three frames, of which one carries it."""
    said = torch.randint(KINDS, (n, TOKENS), generator=g)
    x = 0.3 * torch.randn(n, KINDS, FRAMES, generator=g)
    loud = torch.randint(3, (n, TOKENS), generator=g) + 3 * torch.arange(TOKENS)
    x[torch.arange(n)[:, None], said, loud] += 3.0
    return x, said


def trained(seed: int) -> Reader:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Reader()
    g = torch.Generator().manual_seed(seed)
    step = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(250):
        x, said = language(64, g)
        step.zero_grad()
        F.cross_entropy(model(x).flatten(0, 1), said.flatten()).backward()
        step.step()
    return model.eval()


@torch.no_grad()
def occlusion(model: Reader, x: Tensor, said: Tensor) -> Tensor:
    """What each token's log-probability loses without each frame, `[T, F]`."""

    def score(pictures: Tensor) -> Tensor:
        logs = model(pictures).log_softmax(-1)
        return logs.gather(2, said.expand(len(pictures), -1)[..., None])[..., 0]

    without = x.repeat(FRAMES, 1, 1)
    without[torch.arange(FRAMES), :, torch.arange(FRAMES)] = 0
    return (score(x) - score(without)).T


@works("cross-attention-half")
def test_planted_and_shuffled_attention() -> None:
    """Attention equal to the saliency: 1; shuffled: the mean of 30 within four standard errors of 0."""
    g = torch.Generator().manual_seed(0)
    attention = torch.randn(3, 4, 20, 30, generator=g, dtype=torch.float64).softmax(-1)
    for layer in range(3):
        assert float(half_explanation(attention, attention[layer, 2]).heads[layer, 2]) == pytest.approx(1)
    assert half_explanation(attention, attention.mean((0, 1))).all == pytest.approx(1)
    found = []
    for _ in range(30):
        order = torch.randperm(600, generator=g)
        found.append(half_explanation(attention, attention[0, 0].flatten()[order].view(20, 30)).all)
    assert abs(sum(found) / 30) < 4 / math.sqrt(600 * 30)


@works("cross-attention-half")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_trained_reader_averaged_heads_beat_the_median_head(seed: int) -> None:
    """Accuracy above 0.95 first; attention watched in the model; over 8 inputs the mean over heads and layers follows
    occlusion better than the median single head, and explains a part of it, not all."""
    model = trained(seed)
    x, said = language(200, torch.Generator().manual_seed(100 + seed))
    assert float((model(x).argmax(-1) == said).double().mean()) > 0.95
    averaged, single = [], []
    for i in range(8):
        with rg.watch(model, keep=["probs"]) as record:
            model(x[i : i + 1])
        attention = torch.cat([reading["probs"] for reading in record.readings])
        got = half_explanation(attention, occlusion(model, x[i : i + 1], said[i : i + 1]))
        averaged.append(got.all)
        single.append(got.heads.flatten())
    median = float(torch.stack(single).mean(0).median())
    assert sum(averaged) / 8 > median
    assert 0.2 < sum(averaged) / 8 < 0.99
