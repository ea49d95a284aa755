"""`composite`: tiles in plain torch ops. Slower than `tiled`, and differentiable as often and in all that one likes.

Use it for the gradient of a bias or of the log sum exp, for second derivatives, and away from the CPU. Autograd keeps
the probabilities of the pairs that tiles hold; of patterns without intervals, all pairs.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from regard.patterns._axis import Box
from regard.softmax._assembly import assembled
from regard.softmax._geometry import Cut, geometries, three
from regard.softmax._problem import Problem
from regard.softmax._tracing import constant, outside, plain
from regard.softmax.reference import weigh


def composite(problem: Problem) -> tuple[Tensor, Tensor]:
    """Attention under any pattern, from gathered tiles or blocks of rows; at least in float32."""
    if problem.q.dtype.itemsize < 4:
        out, lse = composite(problem.to(torch.float32))
        return out.to(problem.q.dtype), lse
    return assembled(problem, _box)


def _box(p: Problem, box: Box) -> tuple[Tensor, Tensor]:
    """The body's attention to the keys of a box: each tile by itself, then every query from a tile that holds it."""
    k, v = (x.repeat_interleave(p.groups, 1) for x in (p.k, p.v))
    with outside():  # where torch traces, what is kept must be real, and a graph takes numbers as they are
        tiles = [*_tiles(p, box)]
        owner = _owner(p, [tile.query for tile in tiles])
    outs, lses = [], []
    for query, key, seen, places in (_Tile(*map(constant, tile)) for tile in tiles):
        logits = p.scale * (p.q[:, :, query] @ k[:, :, key].mT)
        if p.bias is not None:
            full = p.bias.expand(*p.q.shape[:3], k.shape[2])
            logits = logits + full[:, :, query[..., None], key[..., None, :]]
        if p.table is not None:
            logits = logits + p.table.flatten(1)[:, places]
        if p.keep is not None:
            seen = seen & p.keep[:, key][:, None, :, None]
        out, lse = weigh(logits.masked_fill(~seen, float("-inf")), v[:, :, key])
        outs.append(out.flatten(2, 3))
        lses.append(lse.flatten(2, 3))
    nowhere = p.q.new_zeros(*p.q.shape[:2], 1, v.shape[3])
    every, every_lse = torch.cat([*outs, nowhere], 2), torch.cat([*lses, nowhere[..., 0] + float("-inf")], 2)
    owner = constant(owner)
    return every[:, :, owner], every_lse[:, :, owner]


class _Tile(NamedTuple):
    """Numbers of queries `[tiles, T]` and keys `[tiles, K]`, which pairs are seen, their places in the table."""

    query: Tensor
    key: Tensor
    seen: Tensor
    places: Tensor


def _owner(p: Problem, held: list[Tensor]) -> Tensor:
    """Where each query of the body stands among those of all tiles; those of none, after the last."""
    prefix, count = p.pattern.queries.prefix, sum(x.numel() for x in held)
    owner = torch.full((p.pattern.queries.body,), count, device=p.q.device)
    if held:
        owner[torch.cat([x.flatten() for x in held]) - prefix] = torch.arange(count, device=p.q.device)
    return owner


def _tiles(p: Problem, box: Box) -> Iterator[_Tile]:
    """One for each tile row."""
    axes, device = three(box), p.q.device
    for chosen, geometry in geometries(box, plain(p.q.shape[0]) * plain(p.q.shape[1])):
        for residue in itertools.product(*chosen):
            for row, span in enumerate(geometry.cuts[0].span):
                if not span:
                    continue
                rows = [[row], *(range(len(cut.first)) for cut in geometry.cuts[1:])]
                query = _numbers(geometry.cuts, rows, residue, [a.queries for a in axes], keys=False).to(device)
                key = _numbers(geometry.cuts, rows, residue, [a.keys for a in axes], keys=True).to(device)
                mask, _ = geometry.mask(row, torch.empty(0))
                whole = torch.ones(len(query), query.shape[1], key.shape[1], dtype=torch.bool)
                seen = (whole if mask is None else mask.flatten(0, 1) == 0).to(device)
                places = query if p.table is None else p.offsets(query[..., None], key[..., None, :])
                yield _Tile(query + p.pattern.queries.prefix, key + p.pattern.keys.prefix, seen, places)


def _numbers(
    cuts: tuple[Cut, Cut, Cut],
    rows: Sequence[Sequence[int]],
    residue: tuple[int, ...],
    lengths: list[int],
    *,
    keys: bool,
) -> Tensor:
    """Numbers of the tokens of tiles, `[tiles, tokens]`, from their places on three axes."""
    number = torch.zeros(1, 1, dtype=torch.long)
    for cut, chosen, r, length in zip(cuts, rows, residue, lengths, strict=True):
        first, size = (cut.start, cut.span[chosen[0]]) if keys else (cut.first, cut.tile)
        place = (torch.tensor([first[n] for n in chosen])[:, None] + torch.arange(size)) * cut.dilation + r
        joined = number[:, None, :, None] * length + place[None, :, None, :]
        number = joined.flatten(2, 3).flatten(0, 1)
    return number
