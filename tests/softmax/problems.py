"""Problems to compute in several ways, all in float64; and tiles so small that every seam is met."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

import regard as rg
from regard.patterns._pattern import Pattern
from regard.softmax import RelativeTable, _chunks, _geometry
from regard.softmax import tiled as tiled_module
from regard.softmax._problem import Problem, problem

P = rg.patterns
GRID = rg.Grid(5, 7, prefix=2)
SEPARABLE: dict[str, Pattern] = {
    "near": P.neighborhood((9, 11), 3),
    "even, strided": P.neighborhood((9, 11), (4, 5), (2, 3)),
    "uneven dilation": P.neighborhood((11, 13), 3, dilation=(2, 3)),
    "causal near": P.neighborhood((6, 9), 4, causal=(True, False)),
    "one axis": P.neighborhood(37, 5, dilation=3),
    "three axes": P.neighborhood((4, 7, 5), 3, dilation=(1, 2, 1)),
    "shifted window": P.window((10, 9), 4, 1),
    "grid": P.grid((12, 8), 4),
    "halo": P.halo((12, 10), 4, 2),
    "axial": P.axial((7, 5), 1),
    "criss-cross, prefix": P.criss_cross(GRID),
    "causal line": P.causal(50),
    "causal grid": P.causal((6, 7)),
    "sliding, prefix": P.sliding(GRID, (2, 1), (0, 3)),
    "cross, dense": P.dense((5, 6), (7, 3)),
    "rectified": P.epipolar((5, 4), (7, 3), band=1.0),
    "blind queries": P.sliding(9, 1) & P.window(9, 3) & P.neighborhood(9, 3, dilation=2),
    "global and near": P.global_tokens((5, 6), [3, 17]) | P.neighborhood((5, 6), 3),
    "global": P.global_tokens((5, 6), [17]),
}
OTHERS: dict[str, Pattern] = {
    "random, prefix": P.random(GRID, 4),
    "regions": P.regions((4, 5), [i * i % 3 for i in range(20)]),
    "dilations that do not meet": P.neighborhood((8, 8), 3, dilation=2) | P.sliding((8, 8), 1),
    "cross, other axes": P.dense((2, 3), 5),
}
EVERY = SEPARABLE | OTHERS
FULL = {"mask": True, "extra": True, "sink": True}


def a_problem(
    pattern: Pattern,
    *,
    heads: int = 4,
    groups: int = 2,
    dim: int = 8,
    values: int = 5,
    seed: int = 0,
    mask: bool = False,
    extra: bool = False,
    sink: bool = False,
    table: bool = False,
    dtype: torch.dtype = torch.float64,
) -> tuple[Problem, list[Tensor]]:
    """A problem with everything that is asked for, and its tensors that have gradients."""
    g = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=g, dtype=dtype).requires_grad_()

    n, m = pattern.queries.tokens, pattern.keys.tokens
    q, k, v = draw(2, heads, n, dim), draw(2, heads // groups, m, dim), draw(2, heads // groups, m, values)
    more = (draw(2, heads // groups, 3, dim), draw(2, heads // groups, 3, values)) if extra else None
    rest = draw(heads) if sink else None
    keep = torch.rand(2, m, generator=g) < 0.7 if mask else None
    reach = [2 * max(a, b) - 1 for a, b in zip(pattern.queries.axes, pattern.keys.axes, strict=False)]
    bias = RelativeTable(torch.randn(heads, *reach, generator=g, dtype=dtype)) if table else None
    made = problem(q, k, v, pattern, bias, None, keep, more, rest)
    return made, [x for x in (q, k, v, *(more or ()), rest) if x is not None]


def agree(
    function: Callable[[Problem], tuple[Tensor, Tensor]],
    given: tuple[Problem, list[Tensor]],
    *,
    tolerance: float = 1e-11,
    with_lse: bool = True,
) -> None:
    """Output, log sum exp and all gradients are those of the reference, of a sum over both or over the output alone."""
    from regard.softmax.reference import reference

    it, leaves = given
    found = []
    for one in (reference, function):
        out, lse = one(it)
        weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out).sin()
        there = lse.masked_fill(lse == -torch.inf, 0.0)  # where nothing is seen, nothing has a gradient
        wave = torch.linspace(2, -1, lse.numel(), dtype=lse.dtype).view_as(lse).cos()
        total = (out * weight).sum() + ((there * wave).sum() if with_lse else 0)
        found.append([out, lse, *torch.autograd.grad(total, leaves)])
    for name, expected, got in zip(("out", "lse", *range(9)), *found, strict=False):
        assert got.dtype == expected.dtype, name
        torch.testing.assert_close(got, expected, rtol=tolerance, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}")


@contextmanager
def small_tiles(*sizes: int) -> Iterator[None]:
    """Tiles of these sizes, strips of a few columns, a few rows at a time: seams everywhere."""
    before: list[tuple[Any, str, Any]] = [
        (_geometry, "SIZES", sizes), (_geometry, "LARGEST", 30), (_chunks, "BYTES", 3000), (tiled_module, "TILES", 3)
    ]  # fmt: skip
    kept = [getattr(where, name) for where, name, _ in before]
    _geometry.geometries.cache_clear()
    try:
        for where, name, value in before:
            setattr(where, name, value)
        yield
    finally:
        for (where, name, _), value in zip(before, kept, strict=True):
            setattr(where, name, value)
        _geometry.geometries.cache_clear()
