"""paro-attention works: reordering is exact, finds the planted axes, and keeps more attention than the raster order."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

import regard as rg
from regard.operators.reordered import _block_mass, _places, choose_orders
from regard.testing.marks import works

from .arithmetic import dense, drawn, gap, with_gradients

reordered = rg.operators.reordered
SPACE, BLOCK = (4, 4, 4), 4  # frames, rows, columns; a block is a run along the fastest axis


def planted(axis: int, seed: int) -> tuple[Tensor, Tensor]:
    """q and k with which a token looks along one axis: at those that share its other two coordinates."""
    cells = torch.tensor(list(itertools.product(*(range(n) for n in SPACE))))
    other = [a for a in range(3) if a != axis]
    group = cells[:, other[0]] * 4 + cells[:, other[1]]
    codes = 6 * torch.nn.functional.normalize(drawn(16, 12, seed=seed), dim=-1)
    noise = drawn(2, 64, 12, seed=seed + 1)
    return codes[group] + 0.3 * noise[0], codes[group] + 0.3 * noise[1]


def kept(mass: Tensor, order: tuple[int, ...], keep: float) -> Tensor:
    """Share of all attention in the blocks that are read."""
    blocks = _block_mass(mass, _places(SPACE, order).expand(mass.shape[1], -1), BLOCK)
    return blocks.topk(max(1, round(keep * blocks.shape[-1])), -1).values.sum((2, 3)) / mass.shape[2]


@works("paro-attention")
def test_permuting_attending_and_inverting_is_dense_attention() -> None:
    """All six orders, outputs and gradients, to 1e-12."""
    q, k, v = (drawn(2, 3, 64, 5, seed=i) for i in range(3))
    whole = with_gradients(dense, q, k, v)
    for order in itertools.permutations(range(3)):
        run = lambda *x, o=order: reordered(*x, space=SPACE, orders=[o] * 3, block=BLOCK, keep=1.0)  # noqa: E731
        assert gap(with_gradients(run, q, k, v), whole) < 1e-12


@works("paro-attention")
def test_the_chosen_order_recovers_the_planted_axis() -> None:
    """Three heads, each along another axis, five draws: the fastest axis of the order found is the planted one."""
    for seed in range(5):
        heads = [planted(axis, 10 * seed + axis) for axis in range(3)]
        q, k = (torch.stack(x)[None] for x in zip(*heads, strict=True))
        mass = torch.softmax(q @ k.mT / 12**0.5, -1)
        found = choose_orders(mass, SPACE, BLOCK, 0.0625)
        assert [order[-1] for order in found] == [0, 1, 2]


@works("paro-attention")
def test_it_keeps_more_than_the_raster_at_equal_density() -> None:
    """One block in 16: .7 and more of the attention against at most .4 in the raster's order for the heads whose axis
    is not the raster's fastest, and an output at less than half of the raster's distance from the dense one."""
    for seed in range(5):
        heads = [planted(axis, 10 * seed + axis) for axis in (0, 1)]
        q, k = (torch.stack(x)[None] for x in zip(*heads, strict=True))
        v = drawn(1, 2, math.prod(SPACE), 6, seed=seed)
        mass = torch.softmax(q @ k.mT / 12**0.5, -1)
        orders = choose_orders(mass, SPACE, BLOCK, 0.0625)
        ours = torch.stack([kept(mass, order, 0.0625)[0, h] for h, order in enumerate(orders)])
        raster = kept(mass, (0, 1, 2), 0.0625)[0]
        assert float(ours.min()) > 0.7
        assert float(raster.max()) < 0.4
        errors = [
            (reordered(q, k, v, space=SPACE, orders=some, block=BLOCK, keep=0.0625) - dense(q, k, v)).norm()
            for some in (orders, [(0, 1, 2)] * 2)
        ]
        assert float(errors[0]) < 0.5 * float(errors[1])
