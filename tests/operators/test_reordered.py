from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

import regard as rg

from .tools import agree, dense, qkv, refuses

reordered = rg.operators.reordered
SPACE = (2, 3, 4)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_all_blocks_are_dense_attention_in_every_order(order: tuple[int, ...]) -> None:
    agree(lambda *x: reordered(*x, space=SPACE, orders=[order] * 3, block=4, keep=1.0), dense, *qkv(q=24, k=24))


def test_equals_a_block_mask_over_places() -> None:
    """Orders of three heads; for each block of queries the half of key blocks that holds the most attention."""
    orders = [(0, 1, 2), (2, 0, 1), (1, 2, 0)]

    def slow(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        seen = torch.zeros(2, 3, 24, 24, dtype=torch.bool)
        weights = torch.softmax(q @ k.mT / 2, -1).detach()
        for h, order in enumerate(orders):
            cells = sorted(itertools.product(*(range(s) for s in SPACE)), key=lambda c: [c[a] for a in order])
            blocks = [[12 * t + 4 * y + x for t, y, x in cells[i : i + 4]] for i in range(0, 24, 4)]
            for b, rows in itertools.product(range(2), blocks):
                mass = [float(weights[b, h][rows][:, keys].sum()) for keys in blocks]
                for best in sorted(range(6), key=lambda i: -mass[i])[:3]:
                    for row in rows:
                        seen[b, h, row, blocks[best]] = True
        return dense(q, k, v, seen)

    agree(lambda *x: reordered(*x, space=SPACE, orders=orders, block=4), slow, *qkv(q=24, k=24))


def test_the_chosen_orders_come_nearest() -> None:
    """With no order given, the kept attention is at least that of any fixed order."""
    q, k, v = qkv(q=24, k=24)
    ones = torch.ones_like(v[..., :1])

    def kept(orders: list[tuple[int, ...]]) -> Tensor:
        weights, seen = torch.softmax(q @ k.mT / 2, -1), torch.zeros(2, 3, 24)
        for key in range(24):  # a key's own weight shows through values that are 1 there
            one = torch.zeros_like(ones)
            one[:, :, key] = 1
            hit = reordered(q, k, one, space=SPACE, orders=orders, block=4)[..., 0] > 0
            seen += torch.where(hit, weights[..., key], 0.0)
        return seen.sum((0, 2))

    from regard.operators.reordered import choose_orders

    chosen = choose_orders(torch.softmax(q @ k.mT / 2, -1), SPACE, 4, 0.5)
    best = kept(chosen)
    for order in itertools.permutations(range(3)):
        assert (kept([order] * 3) <= best + 1e-9).all()
    assert torch.equal(
        reordered(q, k, v, space=SPACE, block=4), reordered(q, k, v, space=SPACE, orders=chosen, block=4)
    )


def test_refusals() -> None:
    inputs = qkv(q=24, k=24)
    refuses("24 tokens as (5, 5)", "as many places", reordered, *inputs, space=(5, 5))
    refuses("keep=0", "above 0", reordered, *inputs, keep=0)
    refuses("orders [(0, 0)", "axes 0 .. 1", reordered, *inputs, space=(4, 6), orders=[(0, 0)] * 3)
    refuses("24 tokens in blocks of 7", "divides", reordered, *inputs, block=7)
