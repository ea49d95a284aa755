"""What every pattern is held to: its intervals say, pair for pair and each pair once, what its rule says."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from regard.patterns._axis import Box
from regard.patterns._pattern import Pattern
from regard.patterns._plan import tiles


def support(box: Box) -> Tensor:
    """A box as a matrix of tokens: the Kronecker product of its axes."""
    made = torch.ones(1, 1)
    for axis in box:
        made = torch.kron(made, axis.support().float())
    return made


def check(pattern: Pattern, slow: Callable[[tuple[int, ...], tuple[int, ...]], bool] | None = None) -> Tensor:
    """Rule = intervals = slow form over places; count and tiles are exact. Gives the body of the mask."""
    mask = pattern.mask()
    q, k = pattern.queries, pattern.keys
    assert mask[..., : q.prefix, :].all()
    assert mask[..., :, : k.prefix].all()
    body = mask[..., q.prefix :, k.prefix :]
    if pattern.boxes is not None:
        told = sum((support(box) for box in pattern.boxes), torch.zeros(q.body, k.body))
        assert torch.equal(told, body.float()), f"{pattern}: intervals differ from the rule"
    if slow is not None:
        places = [list(itertools.product(*map(range, s.axes))) for s in (q, k)]
        expected = torch.tensor([[slow(i, j) for j in places[1]] for i in places[0]])
        assert torch.equal(body, expected), f"{pattern}: rule differs from the slow form"
    assert pattern.count() == int(mask.sum())
    tile, key_tile = (tuple(range(2, 2 + len(s.axes))) for s in (q, k))
    assert tiles(pattern, tile, key_tile) == slow_tiles(pattern, tile, key_tile)
    return body


def slow_tiles(pattern: Pattern, tile: tuple[int, ...], key_tile: tuple[int, ...]) -> tuple[int, int]:
    """Visited and full pairs of tiles, from the mask."""
    body = pattern.mask()[..., pattern.queries.prefix :, pattern.keys.prefix :]
    owners = []
    for space, cut in ((pattern.queries, tile), (pattern.keys, key_tile)):
        found: dict[tuple[int, ...], list[int]] = {}
        for at, place in enumerate(itertools.product(*map(range, space.axes))):
            found.setdefault(tuple(p // t for p, t in zip(place, cut, strict=True)), []).append(at)
        owners.append(found)
    visited = full = 0
    for rows in owners[0].values():
        for columns in owners[1].values():
            part = body[..., rows, :][..., columns].flatten(-2)
            visited += int(part.any(-1).sum())
            full += int(part.all(-1).sum())
    return visited, full
