"""super-token-attention works: a sparse association of rows that sum to 1, which follows the borders of regions."""

from __future__ import annotations

import torch
from torch import Tensor

import regard as rg
from regard.operators.super_token import associate
from regard.testing.marks import works

from .arithmetic import dense, drawn, gap

GRID, CELL = rg.Grid(24, 24), 4


def regions(seed: int) -> tuple[Tensor, Tensor]:
    """Tokens [1, N, 8] of a picture cut by a slanted line and a disc, and the labels of its regions."""
    generator = torch.Generator().manual_seed(seed)
    angle, offset, x0, y0 = (torch.rand(4, generator=generator) * torch.tensor([3.1, 4.0, 12.0, 12.0])).tolist()
    at = GRID.centres()
    line = (at - 11.5) @ torch.tensor([torch.tensor(angle).cos(), torch.tensor(angle).sin()]) > offset - 2
    disc = ((at - torch.tensor([x0 + 6, y0 + 6])) ** 2).sum(-1) < 36
    labels = line.long() + 2 * disc.long()
    codes = 4 * torch.nn.functional.normalize(drawn(4, 8, seed=seed), dim=-1)
    return (codes[labels] + 0.5 * drawn(GRID.patches, 8, seed=seed + 1))[None], labels


def purity(owner: Tensor, labels: Tensor) -> float:
    """Share of tokens with the most frequent label of their owner's."""
    counts = torch.zeros(int(owner.max()) + 1, 4).index_put((owner, labels), torch.ones(len(labels)), accumulate=True)
    return float(counts.amax(1).sum()) / len(labels)


@works("super-token-attention")
def test_association_rows_sum_to_one_and_reach_neighbouring_cells_only() -> None:
    """At one, two and five iterations; each token reaches the 4 to 9 cells that touch its own, and no other."""
    own = GRID.cells(CELL)
    across = GRID.w // CELL
    for iterations in (1, 2, 5):
        a = associate(regions(0)[0], GRID, CELL, iterations)[0]
        assert gap(a.sum(-1), torch.ones(1).double()) < 1e-12
        for token in range(0, GRID.patches, 7):
            y, x = divmod(int(own[token]), across)
            near = {across * r + c for r in range(y - 1, y + 2) for c in range(x - 1, x + 2)
                    if 0 <= r < across and 0 <= c < across}  # fmt: skip
            assert {int(s) for s in a[token].nonzero()} <= near


@works("super-token-attention")
def test_cells_of_one_token_fall_back_to_self_attention() -> None:
    q, k, v = (drawn(1, 2, GRID.patches, 4, seed=i) for i in range(3))
    x = regions(0)[0]
    assert gap(rg.operators.super_token(q, k, v, x, GRID, cell=1), dense(q, k, v)) < 1e-12
    assert gap(rg.operators.super_token(q, k, v, x, GRID, cell=CELL), dense(q, k, v)) > 0.01


@works("super-token-attention")
def test_associations_follow_borders_better_than_the_grid() -> None:
    """Ten pictures: tokens go to the super token they share most with. On each, its members agree about the region
    more often than those of a cell of the grid; in the mean the grid's impurity falls by over half."""
    ours, grid = [], []
    for seed in range(10):
        tokens, labels = regions(seed)
        owner = associate(tokens, GRID, CELL, 3)[0].argmax(-1)
        ours.append(purity(owner, labels))
        grid.append(purity(GRID.cells(CELL), labels))
    assert all(a >= b for a, b in zip(ours, grid, strict=True)), (ours, grid)
    assert 10 - sum(ours) < 0.5 * (10 - sum(grid)), (ours, grid)
