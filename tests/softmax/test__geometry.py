from __future__ import annotations

import pytest
import torch

import regard as rg
from regard.patterns._axis import Axis
from regard.softmax import _geometry
from regard.softmax._geometry import Cut, cost, geometries, residues, runs, spread, three

from .problems import SEPARABLE, small_tiles


@pytest.mark.parametrize("name", SEPARABLE)
@pytest.mark.parametrize("sizes", [(3,), (2, 5)])
def test_tiles_hold_every_query_and_every_key_it_sees(name: str, sizes: tuple[int, ...]) -> None:
    """Pairs told by the tiles, each query once: those of the box, as matrices over three axes."""
    with small_tiles(*sizes):
        for box in SEPARABLE[name].boxes or ():
            axes = three(box)
            for chosen, geometry in geometries(box, 1):
                for axis, cut, run in zip(axes, geometry.cuts, chosen, strict=True):
                    for residue in run:
                        check_cut(axis, cut, residue)


def check_cut(axis: Axis, cut: Cut, residue: int) -> None:
    d = axis.dilation
    part = axis.support()[residue::d, residue::d]
    told = torch.zeros_like(part)
    held = torch.zeros(len(part))
    for n, first in enumerate(cut.first):
        told[first : first + cut.tile, cut.start[n] : cut.start[n] + cut.span[n]] |= cut.inside(n)
        held[first : first + cut.tile] += 1
        ahead = (
            torch.arange(cut.start[n], cut.start[n] + cut.span[n])[None]
            - torch.arange(first, first + cut.tile)[:, None]
        )
        assert cut.offset(n).equal(ahead * d)
    assert told.equal(part)
    assert (held >= 1).all()
    assert int(held.sum()) == len(part) + cut.again
    assert not cut.even or len(set(cut.span)) == 1


def test_masks_are_those_of_the_pattern_and_are_kept() -> None:
    ((_, geometry),) = geometries(rg.patterns.neighborhood((16, 16), 5).boxes[0], 1)  # type: ignore[index]
    like = torch.empty(0, dtype=torch.float64)
    mask, blind = geometry.mask(0, like)
    assert blind is None
    assert mask is not None
    assert mask.dtype == torch.float64
    assert ((mask == 0).sum(-1) == 25).all()
    assert geometry.mask(0, like)[0] is mask
    ((_, tall),) = geometries(rg.patterns.neighborhood((64, 8), 5).boxes[0], 1)  # type: ignore[index]
    rows = range(len(tall.cuts[0].first))
    assert len({tall.kind(row) for row in rows}) <= 3 < len(rows)  # the two edges, and all between
    ((_, blocks),) = geometries(rg.patterns.window((64, 64), 8).boxes[0], 4)  # type: ignore[index]
    assert blocks.mask(0, like) == (None, None)  # nothing to forbid inside a window


def test_windows_are_tiles_and_dear_tiles_are_not_taken() -> None:
    ((_, blocks),) = geometries(rg.patterns.window((64, 64), 8).boxes[0], 4)  # type: ignore[index]
    assert [cut.tile for cut in blocks.cuts] == [8, 8, 1]
    ((_, lines),) = geometries(rg.patterns.axial((32, 32), 0).boxes[0], 4)  # type: ignore[index]
    assert lines.cuts[1].tile == 1
    ((_, near),) = geometries(rg.patterns.neighborhood((56, 56), 7).boxes[0], 3)  # type: ignore[index]
    assert 16 <= near.tokens <= 64
    wide = tuple(Cut(c.lo, c.hi, c.keys, 1, min(32, len(c.lo)), c.even) for c in near.cuts)
    assert cost(wide, 3) > cost(near.cuts, 3)  # type: ignore[arg-type]


def test_runs() -> None:
    assert runs((0, 0, 0)) == ((0, 3, 0, 0),)
    assert runs((0, 4, 8, 11)) == ((0, 3, 0, 4), (3, 1, 11, 0))
    assert runs((0, 4, 7), apart=4) == ((0, 2, 0, 4), (2, 1, 7, 0))
    assert runs((0, 3), apart=4) == ((0, 1, 0, 0), (1, 1, 3, 0))
    assert runs(()) == ()


def test_views_are_the_tokens_they_stand_for(generator: torch.Generator) -> None:
    x = torch.randn(2, 3, 7, 5, 4, generator=generator)[:, :, :, :, :3]
    tiles = torch.zeros(2, 3, 2, 3, 2, 2, 3)
    for view, part in spread(x, tiles, [((0, 1, 5), 2), ((0, 3), 2)], apart=False):
        part.copy_(view)
    for a, at in enumerate((0, 1, 5)):
        for b, place in enumerate((0, 3)):
            assert tiles[:, a, b].equal(x[:, :, at : at + 2, place : place + 2])
    view = residues(x, (range(1), range(1, 3), range(1)), (1, 3, 1))
    assert view.shape == (2, 1, 2, 1, 3, 2, 5, 3)
    for r in (1, 2):
        assert view[:, 0, r - 1, 0].equal(x[:, :, r::3])


def test_a_line_is_laid_in_strips_or_gone_along() -> None:
    even, uneven = (p.boxes[0] for p in (rg.patterns.neighborhood(40, 5), rg.patterns.causal(40)))  # type: ignore[index]
    assert three(even)[1] is even[0]
    assert three(uneven)[0] is uneven[0]
    assert _geometry.ONE.support().all()
