from __future__ import annotations

import torch
from torch import Tensor

import regard as rg
from regard.operators.super_token import associate

from .tools import agree, dense, drawn, qkv, refuses

super_token = rg.operators.super_token
GRID = rg.Grid(4, 8)


def slow(x: Tensor, iterations: int) -> Tensor:
    """Associations on the 4 x 8 grid with cells of 2, pair by pair."""
    place = [(i // 8, i % 8) for i in range(32)]
    cells = [(y, x) for y in range(2) for x in range(4)]
    members = [[i for i, (py, px) in enumerate(place) if (py // 2, px // 2) == c] for c in cells]
    supers = torch.stack([x[:, m].mean(1) for m in members], 1)
    for _ in range(iterations):
        e = x.new_zeros(x.shape[0], 32, 8)
        for i, (py, px) in enumerate(place):
            for s, (cy, cx) in enumerate(cells):
                if abs(py // 2 - cy) <= 1 and abs(px // 2 - cx) <= 1:
                    e[:, i, s] = ((x[:, i] * supers[:, s]).sum(-1) / 6**0.5).exp()
        a = e / e.sum(-1, keepdim=True)
        supers = torch.stack([(a[:, :, s, None] * x).sum(1) / a[:, :, s].sum(1, keepdim=True) for s in range(8)], 1)
    return a


def by_hand(q: Tensor, k: Tensor, v: Tensor, x: Tensor) -> Tensor:
    a = slow(x, 2)[:, None]
    gather = a.mT / a.mT.sum(-1, keepdim=True)
    return a @ dense(gather @ q, gather @ k, gather @ v)


def test_equals_dense_associations() -> None:
    x = drawn((2, 32, 6), seed=3)[0]
    agree(lambda *t: super_token(*t, GRID, iterations=2), by_hand, *qkv(q=32, k=32), x)


def test_rows_sum_to_one_and_reach_neighbouring_cells_only() -> None:
    x = drawn((2, 32, 6), seed=3)[0]
    a = associate(x, GRID, 2, 1)
    assert torch.allclose(a.sum(-1), torch.ones(1).double())
    assert torch.equal(a > 0, slow(x, 1) > 0)
    assert int((a[0] > 0).sum(-1).min()) == 4  # in a corner
    assert not torch.allclose(a, associate(x, GRID, 2, 3), atol=1e-3)


def test_cells_of_one_token_are_plain_attention() -> None:
    (q, k, v), x = qkv(q=32, k=32), drawn((2, 32, 6))[0]
    assert torch.allclose(super_token(q, k, v, x, GRID, cell=1), dense(q, k, v), atol=1e-12)


def test_refusals() -> None:
    (q, k, v), x = qkv(q=32, k=32), drawn((2, 32, 6))[0]
    refuses("cells of 3 x 3 on grid 4x8", "divides both sides", super_token, q, k, v, x, GRID, cell=3)
    refuses("iterations=0", "1 .. any", super_token, q, k, v, x, GRID, iterations=0)
    refuses("tokens [2, 31, 6]", "[B, N, C]", super_token, q, k, v, x[:, 1:], GRID)
