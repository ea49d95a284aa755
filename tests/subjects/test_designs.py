"""Mask designs by what makes them worth their name: balance, size, orthogonality."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regard.errors import LayoutError
from regard.subjects import designs

DESIGNS: list[Callable[..., Tensor]] = [
    designs.bernoulli, designs.antithetic, designs.fixed, designs.coalitions, designs.hadamard,
]  # fmt: skip


def gen(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("order", [1, 2, 3, 4, 5, 12, 13, 20, 28, 50, 64, 65, 100, 197, 257])
def test_hadamard_matrices_are_orthogonal_and_begin_with_ones(order: int) -> None:
    h = designs.hadamard_matrix(order).astype(int)
    assert len(h) >= order
    assert np.array_equal(h @ h.T, len(h) * np.eye(len(h), dtype=int))
    assert (h[0] == 1).all()
    assert (h[:, 0] == 1).all()


def test_their_orders_are_the_smallest_that_the_construction_has() -> None:
    assert [len(designs.hadamard_matrix(n)) for n in (3, 5, 9, 13, 50, 65, 197)] == [4, 8, 12, 16, 60, 68, 200]


@given(cells=st.integers(2, 60), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_a_whole_design_has_uncorrelated_cells_free_of_pairs(cells: int, seed: int) -> None:
    keep = designs.hadamard(designs.whole_design(cells), cells, gen(seed))
    sign = keep.double() * 2 - 1
    assert torch.equal(sign.T @ sign, len(sign) * torch.eye(cells, dtype=torch.float64))
    assert not sign.sum(0).any()
    pair = sign[:, 0] * sign[:, -1]  # the product of any two columns
    assert not (sign.T @ pair).any()


@pytest.mark.parametrize("design", DESIGNS, ids=lambda d: d.__name__)
def test_drawn_from_the_generator_alone(design: Callable[..., Any]) -> None:
    first = design(33, 7, gen())
    assert first.shape == (33, 7)
    assert first.dtype == torch.bool
    assert torch.equal(first, design(33, 7, gen()))
    assert not torch.equal(first, design(33, 7, gen(1)))


@pytest.mark.parametrize("design", [designs.antithetic, designs.coalitions, designs.hadamard])
def test_complements_follow(design: Callable[..., Any]) -> None:
    keep = design(40, 9, gen())
    assert torch.equal(keep[0::2], ~keep[1::2])


def test_shares_and_sizes() -> None:
    assert abs(float(designs.bernoulli(4000, 5, gen(), p=0.3).double().mean()) - 0.3) < 0.02
    assert set(designs.fixed(50, 10, gen(), share=0.3).sum(1).tolist()) == {3}
    assert set(designs.fixed(50, 3, gen(), share=0.01).sum(1).tolist()) == {1}
    sizes = designs.coalitions(40000, 6, gen()).sum(1)
    weight = torch.tensor([1 / (s * (6 - s)) for s in range(1, 6)], dtype=torch.float64)
    found = torch.bincount(sizes, minlength=7)[1:6].double() / len(sizes)
    assert (found - weight / weight.sum()).abs().max() < 4 * math.sqrt(0.25 / 20000)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (partial(designs.bernoulli, 0, 4), "0 masks of 4 cells"),
        (partial(designs.hadamard, 4, 0), "4 masks of 0 cells"),
        (partial(designs.bernoulli, 4, 4, p=1.0), "stay with probability 1.0"),
        (partial(designs.coalitions, 4, 1), "a game of one cell"),
    ],
)
def test_what_is_no_design_is_refused(make: Callable[..., Any], text: str) -> None:
    with pytest.raises(LayoutError, match=text):
        make(generator=gen())
