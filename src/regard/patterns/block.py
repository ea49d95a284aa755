"""Block: a table says which blocks of keys a block of queries sees."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.patterns._pattern import Blocks, Held, Pattern
from regard.patterns._space import Place, as_space, per_axis
from regard.registry import method


@method(
    "patterns",
    paper="sparse-transformers",
    claim="equals the table enlarged to tokens; the diagonal table is a window",
    source="section 5.5: block-sparse attention",
    needs=(),
    differs="the table is the caller's",
    unit="pairs",
)
def block(queries: Place, size: int | Sequence[int], table: Tensor, keys: Place | None = None) -> Pattern:
    """Queries of block a see keys of block b where `table[a, b]` is True; blocks are numbered row by row.

    size: tokens of a block on each axis; the last may be smaller. table: bool `[blocks of queries, blocks of keys]`.

    Raises LayoutError for a table of another size or type. Source: Child et al. 2019, "Generating Long Sequences with
    Sparse Transformers".

    >>> import regard as rg, torch
    >>> rg.patterns.block(4, 2, torch.tensor([[True, False], [True, True]])).count()
    12
    """
    space = as_space(queries)
    other = space if keys is None else as_space(keys)
    sizes = per_axis(size, space, "size")
    if len(other.axes) != len(space.axes):
        raise LayoutError(f"blocks on {space} and {other}: another number of axes", hint="spaces with as many axes")
    cuts = tuple(tuple(-(-n // b) for n, b in zip(s.axes, sizes, strict=True)) for s in (space, other))
    count = [math.prod(cut) for cut in cuts]
    if table.dtype != torch.bool or list(table.shape) != count:
        raise LayoutError(
            f"a table of {list(table.shape)} {table.dtype} for {count[0]} x {count[1]} blocks", hint=f"bool {count}"
        )
    rule = Blocks(Held(table), sizes, space.axes, other.axes)
    return Pattern(f"block({space}, {sizes})", space, other, rule)
