from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.errors import CallError
from regard.softmax import dense as module
from regard.softmax._problem import problem
from regard.softmax.dense import dense, everything

from .problems import EVERY, FULL, a_problem, agree


@pytest.mark.parametrize("name", EVERY)
def test_equals_the_reference(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAIRS", 700)  # a few rows at a time
    agree(dense, a_problem(EVERY[name], heads=2, **FULL))
    agree(dense, a_problem(EVERY[name], heads=2, seed=1), with_lse=False)


@pytest.mark.parametrize("shape", [(1, 1), (2, 4), (2, 1)])
def test_masks_of_pictures_and_heads(shape: tuple[int, int], generator: torch.Generator) -> None:
    mask = torch.rand(*shape, 20, 20, generator=generator) < 0.3
    agree(dense, a_problem(rg.patterns.explicit(mask), **FULL))


def test_biases(generator: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAIRS", 700)
    it, leaves = a_problem(EVERY["near"], table=True)
    agree(dense, (it, leaves))
    pairs = torch.randn(4, 99, 99, generator=generator, dtype=torch.float64)
    agree(dense, (problem(it.q, it.k, it.v, it.pattern, pairs, None, None, None, None), leaves))
    with pytest.raises(CallError, match="the bias needs a gradient"):
        dense(problem(it.q, it.k, it.v, it.pattern, pairs.requires_grad_(), None, None, None, None))


def test_without_a_mask_where_everything_is_seen() -> None:
    for pattern, free in (
        (rg.patterns.dense(9), True),
        (rg.patterns.neighborhood(9, 9), True),
        (rg.patterns.window(9, 8), False),
    ):
        assert everything(a_problem(pattern)[0]) is free
        assert not everything(a_problem(pattern, mask=True)[0])
