from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

import regard as rg
from regard.operators.block_mixture import _members, _selected

from .tools import agree, dense, qkv, refuses

block_mixture = rg.operators.block_mixture
SPACES = [((24,), (4,)), ((4, 6), (2, 3)), ((2, 4, 3), (1, 2, 3)), ((2, 4, 3), (2, 4, 3))]


@pytest.mark.parametrize(("space", "block"), SPACES)
def test_blocks_are_boxes(space: tuple[int, ...], block: tuple[int, ...]) -> None:
    members = _members(24, space, block)
    assert sorted(members.flatten().tolist()) == list(range(24))
    for box in members:
        places = [[int(i) for i in axis] for axis in torch.unravel_index(box, space)]
        assert all(max(p) - min(p) < b for p, b in zip(places, block, strict=True))


@pytest.mark.parametrize("form", ["gathered", "masked"])
@pytest.mark.parametrize(("space", "block"), SPACES)
@pytest.mark.parametrize("threshold", [0.0, 0.4, 1.0])
def test_equals_a_selection_by_hand(
    space: tuple[int, ...], block: tuple[int, ...], threshold: float, form: str
) -> None:
    def slow(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        members = _members(24, space, block)
        seen = torch.zeros(*q.shape[:3], 24, dtype=torch.bool)
        q_, k_ = q.detach(), k.detach()
        for b, h in itertools.product(range(q.shape[0]), range(q.shape[1])):
            likes = torch.softmax(torch.stack([q_[b, h] @ k_[b, h, m].mean(0) for m in members], -1) / 2, -1)
            pairs = sorted(((float(s), i, j) for i, row in enumerate(likes) for j, s in enumerate(row)), reverse=True)
            held = 0.0
            for s, i, j in pairs:
                if held < threshold * len(likes) or j == int(likes[i].argmax()):
                    seen[b, h, i, members[j]] = True
                held += s
        return dense(q, k, v, seen)

    run = lambda *x: block_mixture(*x, space=space, block=block, threshold=threshold, form=form)  # noqa: E731
    agree(run, slow, *qkv(q=5, k=24, b=2, h=2))


def test_all_blocks_are_dense_attention() -> None:
    q, k, v = qkv(q=5, k=24)
    assert torch.allclose(block_mixture(q, k, v, threshold=1.0), dense(q, k, v), atol=1e-12)
    assert not torch.allclose(block_mixture(q, k, v, threshold=0.3), dense(q, k, v), atol=0.01)


def test_every_query_reads_something() -> None:
    q, k, _ = qkv(q=5, k=24)
    q[:, :, 0] = 0  # likes all blocks alike, so every other query's best block ranks before its own
    taken = _selected(q, k, _members(24, None, (4,)), 0.1, 5.0)
    assert taken.any(-1).all()


def test_refusals() -> None:
    inputs = qkv(q=5, k=24)
    refuses("24 tokens as (24,) in blocks of (5,)", "divide every axis", block_mixture, *inputs, block=(5,))
    refuses("24 tokens as (5, 5)", "divide every axis", block_mixture, *inputs, space=(5, 5), block=(5, 5))
    refuses("threshold=1.5", "0 (the best block only)", block_mixture, *inputs, threshold=1.5)
    refuses("form='top'", "gathered or masked", block_mixture, *inputs, form="top")
