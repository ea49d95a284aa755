"""Points of a plane: which tokens, in which order, and how well near means a large dot product."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import regard as rg
from regard.errors import CallError, DegenerateError
from regard.layout import Grid
from regard.looking.joint import Pairs, centre_keys, project, rescale
from regard.looking.plane import STAGES, draw, query_key

from .vits import vit, with_registers


def pictures(count: int = 2) -> Tensor:
    return torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def joined(model: torch.nn.Module, x: Tensor, **given: int) -> rg.Joint:
    plain = {"layer": 1, "head": 1, "patches": 576, "tokens": 1500, "most": 12, "seed": 0}
    return query_key(model, x, **(plain | given))


def test_the_plane_is_the_formulas_on_the_watched_operands() -> None:
    model, x = vit(), pictures()
    found = joined(model, x)
    queries, keys = [], []
    for one in x.split(1):
        with torch.no_grad(), rg.watch(model, "blocks.1.attn", keep=["q", "k"]) as record:
            model(one)
        queries.append(record["blocks.1.attn"]["q"][0, 1].double())
        keys.append(record["blocks.1.attn"]["k"][0, 1].double())
    moved = centre_keys(keys)
    both = [rescale(q, k, found.scale) for q, k in zip(queries, moved, strict=True)]
    wanted, share = project(torch.cat([q for q, _ in both] + [k for _, k in both]))
    np.testing.assert_allclose(found.points, wanted.numpy(), atol=1e-5)
    assert found.explained == pytest.approx(share)
    pairs = Pairs.of(queries, moved)
    assert tuple(found.correlation) == STAGES
    assert found.correlation["as they are"] == pytest.approx(Pairs.of(queries, keys).correlation())
    assert found.correlation["keys centred"] == pytest.approx(pairs.correlation())
    assert found.correlation["scaled too"] == pytest.approx(pairs.correlation(found.scale))
    assert found.correlation["scaled too"] <= found.correlation["keys centred"] + 1e-12


def test_points_know_whose_they_are() -> None:
    found = joined(vit(), pictures())
    assert found.key.tolist() == [False] * 130 + [True] * 130
    assert found.token.tolist() == [*range(65)] * 4
    assert found.picture.tolist() == ([0] * 65 + [1] * 65) * 2
    assert (found.address, found.head, found.pictures) == ("blocks.1.attn", 1, ("picture 0", "picture 1"))
    rows = found.table().rows
    assert rows[0][:5] == ("picture 0", "query", 0, None, None)
    assert rows[65 + 64][:5] == ("picture 1", "query", 64, 7, 7)
    assert rows[130 + 9][:5] == ("picture 0", "key", 9, 1, 0)


def test_tokens_are_drawn_by_the_seed_with_all_of_the_prefix() -> None:
    grids = [Grid(8, 8, prefix=5), Grid(6, 8, prefix=5)]
    drawn = draw(grids, 30, seed=1)
    assert [len(t) for t in drawn] == [15, 15]
    for tokens, grid in zip(drawn, grids, strict=True):
        assert tokens[:5].tolist() == [0, 1, 2, 3, 4]
        assert (tokens.diff() > 0).all()
        assert tokens.max() < grid.tokens
    assert all(torch.equal(a, b) for a, b in zip(drawn, draw(grids, 30, seed=1), strict=True))
    assert not torch.equal(drawn[0], draw(grids, 30, seed=2)[0])
    assert [len(t) for t in draw(grids, 9999, seed=0)] == [69, 53]
    with pytest.raises(CallError, match="1 tokens of 2 pictures"):
        draw(grids, 1, seed=0)


def test_a_few_tokens_of_some_pictures() -> None:
    found = joined(with_registers(), pictures(4), tokens=30, most=3, layer=-1, head=-1)
    assert found.pictures == ("picture 0", "picture 1", "picture 2")
    assert len(found.points) == 60
    assert (found.address, found.head) == ("blocks.2.attn", 1)
    assert np.array_equal(found.points, joined(with_registers(), pictures(4), tokens=30, most=3, layer=2).points)


def test_a_head_that_looks_everywhere_alike_mirrors_nothing() -> None:
    model = vit()
    with torch.no_grad():
        model.blocks[0].attn.qkv.weight.zero_()
        model.blocks[0].attn.qkv.bias.zero_()
    with pytest.raises(DegenerateError, match="there is nothing to mirror"):
        joined(model, pictures(), layer=0)
