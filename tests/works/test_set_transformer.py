"""set-transformer works: sets in, sets or one answer out, at a linear cost; and the maximum learnt."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg
from regard.testing.marks import works

from .arithmetic import drawn, flops, gap
from .toys import seeded, train

HEADS = 4


def heads(x: Tensor) -> Tensor:
    return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)


class Block(nn.Module):
    """A set attention block: through inducing points (ISAB), from seeds (PMA), or of all with all (SAB)."""

    def __init__(self, width: int, points: int = 0, seeds: int = 0) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(width, width) for _ in range(3))
        self.points = nn.Parameter(torch.randn(1, points, width)) if points else None
        self.seeds = nn.Parameter(torch.randn(1, seeds, width)) if seeds else None
        self.mlp = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        asking = x if self.seeds is None else self.seeds.expand(len(x), -1, -1)
        q, k, v = heads(self.q(asking)), heads(self.k(x)), heads(self.v(x))
        if self.points is not None:
            out = rg.operators.induced(q, k, v, heads(self.points.expand(len(x), -1, -1)))
        else:
            out = F.scaled_dot_product_attention(q, k, v)
        out = asking + out.transpose(1, 2).flatten(2)
        return out + self.mlp(out)


class SetNet(nn.Module):
    """Numbers -> ISAB -> PMA -> one number."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        with seeded(seed):
            self.embed, self.isab = nn.Linear(1, 32), Block(32, points=8)
            self.pma, self.read = Block(32, seeds=1), nn.Linear(32, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.read(self.pma(self.isab(self.embed(x))))[:, 0, 0]


class MeanNet(nn.Module):
    """The same number of parameters and more in an MLP of each number, their mean, and an MLP of that."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        with seeded(seed):
            self.each = nn.Sequential(nn.Linear(1, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU(), nn.Linear(96, 32))
            self.all = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.all(self.each(x).mean(1))[:, 0]


@works("set-transformer")
def test_blocks_of_sets_are_equivariant_and_pooling_invariant() -> None:
    """Five random orders of 20 members, to 1e-10."""
    with seeded(0):
        sab, isab, pma = Block(16).double(), Block(16, points=3).double(), Block(16, seeds=2).double()
    x = drawn(2, 20, 16)
    with torch.no_grad():
        for seed in range(5):
            order = torch.randperm(20, generator=torch.Generator().manual_seed(seed))
            for block in (sab, isab):
                assert gap(block(x[:, order]), block(x)[:, order]) < 1e-10
            assert gap(pma(x[:, order]), pma(x)) < 1e-10


@works("set-transformer")
def test_operations_of_isab_are_linear_in_the_set() -> None:
    with seeded(0):
        isab, sab = Block(16, points=3), Block(16)
    cost = lambda block, n: flops(block, torch.zeros(1, n, 16))  # noqa: E731
    assert cost(isab, 400) - cost(isab, 200) == 2 * (cost(isab, 200) - cost(isab, 100))  # a line, but for the points
    assert cost(sab, 400) - cost(sab, 200) > 3 * (cost(sab, 200) - cost(sab, 100))


def sets(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x = torch.rand(256, int(torch.randint(2, 11, (), generator=generator)), 1, generator=generator)
    return x, x.amax((1, 2))


def error(model: nn.Module, seed: int) -> float:
    """Mean absolute error of the maximum of 2 to 10 numbers in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)

    def loss() -> Tensor:
        x, wanted = sets(generator)
        return (model(x) - wanted).abs().mean()

    train(model, loss, steps=400, rate=2e-3)
    with torch.no_grad():
        drawn_sets = [sets(generator) for _ in range(40)]
        return sum(float((model(x) - wanted).abs().mean()) for x, wanted in drawn_sets) / 40


@works("set-transformer")
def test_the_maximum_is_learnt_better_than_by_a_mean() -> None:
    """Mean absolute error of the maximum of 2 to 10 numbers in [0, 1], after 400 steps: under a third of that of the
    larger mean network, for each of three seeds."""
    count = lambda model: sum(p.numel() for p in model.parameters())  # noqa: E731
    assert count(SetNet(0)) < count(MeanNet(0))
    for seed in range(3):
        assert error(SetNet(seed), seed) < error(MeanNet(seed), seed) / 3
