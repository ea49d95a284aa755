from __future__ import annotations

import torch

from regard.softmax import _chunks
from regard.softmax._chunks import Chunk, Columns
from regard.softmax._geometry import geometries

from .problems import SEPARABLE, a_problem, small_tiles


def a_chunk(name: str, **given: int) -> Chunk:
    it, _ = a_problem(SEPARABLE[name], **given)
    chosen, geometry = geometries(SEPARABLE[name].boxes[0], 8)[0]  # type: ignore[index]
    return Chunk(it, geometry, chosen, range(2, 5))


def test_shared_keys_are_taken_for_each_head_and_added_up(generator: torch.Generator) -> None:
    chunk = a_chunk("near", groups=2)
    whole = torch.randn(4, 9, 11, 1, 3, generator=generator)
    taken = chunk.take(whole, keys=True)
    assert taken.equal(whole[[1, 1, 2]])
    total = torch.zeros_like(whole)
    chunk.add(total, taken, keys=True)
    assert total[1].equal(2 * whole[1])
    assert total[2].equal(whole[2])
    assert total[[0, 3]].eq(0).all()


def test_residues_go_back_to_where_they_came_from(generator: torch.Generator) -> None:
    with small_tiles(3):
        whole = torch.randn(8, 11, 13, 1, 2, generator=generator)
        total = torch.zeros_like(whole)
        it, _ = a_problem(SEPARABLE["uneven dilation"], groups=1)
        for chosen, geometry in geometries(SEPARABLE["uneven dilation"].boxes[0], 8):  # type: ignore[index]
            chunk = Chunk(it, geometry, chosen, range(2, 5))
            chunk.add(total, chunk.take(whole), keys=False)
        assert total[2:5].equal(whole[2:5])
        assert total[:2].eq(0).all()


def test_columns_hold_all_tiles_and_little_memory(generator: torch.Generator) -> None:
    with small_tiles(3):
        chunk = a_chunk("near")
        k = torch.randn(3, 9, 11, 1, 8, generator=generator, dtype=torch.float64)
        found = [*chunk.columns(k)]
        assert [c.which.start for c in found[1:]] == [c.which.stop for c in found[:-1]]
        assert found[-1].which.stop == chunk.geometry.across[0]
        assert len(found) > 1
        strips = found[1].strips("k", k)
        assert 2 * strips.numel() * 8 <= max(_chunks.BYTES, 2 * strips[:, :1].numel() * 8)
        cut, at = chunk.geometry.cuts[1], found[1].which.start
        assert strips.view(3, -1, 9, cut.span[0], 8)[:, 0].equal(
            k[:, :, cut.start[at] : cut.start[at] + cut.span[0], 0]
        )


def test_tiles_go_and_come_back_and_repeated_queries_are_cleared(generator: torch.Generator) -> None:
    with small_tiles(3):
        chunk = a_chunk("near")
        q = torch.randn(3, 9, 11, 1, 8, generator=generator, dtype=torch.float64)
        columns = Columns(chunk, slice(0, chunk.geometry.across[0]))
        copy, once = torch.zeros_like(q), torch.zeros_like(q)
        for row in range(len(chunk.geometry.cuts[0].first)):
            tile = columns.tile("q", q, row)
            columns.put(tile.flatten(3, 5).flatten(1, 2), copy, row)
            tile = columns.tile("q", torch.ones_like(q), row)
            columns.clear_again(tile, row)
            columns.put(tile.flatten(3, 5).flatten(1, 2), once, row, add=True)
        assert copy.equal(q)
        assert once.eq(1).all()


def test_strips_fold_back(generator: torch.Generator) -> None:
    with small_tiles(3):
        chunk = a_chunk("near")
        columns = Columns(chunk, slice(0, chunk.geometry.across[0]))
        k = torch.ones(3, 9, 11, 1, 8, dtype=torch.float64)
        strips = columns.empty_strips("dk", k).fill_(1.0)
        total = torch.zeros_like(k)
        columns.fold(strips, total)
        cut = chunk.geometry.cuts[1]
        often = torch.tensor([sum(s <= at < s + cut.span[0] for s in cut.start) for at in range(11)])
        assert total[0, 0, :, 0, 0].equal(often.double())
