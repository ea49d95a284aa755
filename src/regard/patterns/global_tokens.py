"""Global tokens: some tokens see all and are seen by all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from operator import or_

from torch import Tensor

from regard.errors import LayoutError
from regard.patterns._axis import Axis
from regard.patterns._pattern import Pattern, separable
from regard.patterns._space import Place, Space, as_space
from regard.registry import method


@method(
    "patterns",
    paper="longformer",
    claim="joined with a local pattern, the chosen rows and columns are full and nothing else changes",
    source="section 3.1: global attention, symmetric",
    needs=(),
    differs="one projection for all tokens, where the paper has a second one for global tokens",
    unit="pairs",
)
def global_tokens(queries: Place, tokens: Sequence[int]) -> Pattern:
    """Chosen tokens see every token, and every token sees them; others see nothing else: join it with `|`.

    tokens: numbers in the space, prefix not counted (prefix tokens are global anyway). Each adds two or more boxes,
    so for many of them a prefix is the cheaper form. Source: Beltagy et al. 2020, "Longformer".

    Raises LayoutError for a token that is not there, or none.

    >>> import regard as rg
    >>> (rg.patterns.window(4, 1) | rg.patterns.global_tokens(4, [0])).mask().int()
    tensor([[1, 1, 1, 1],
            [1, 1, 0, 0],
            [1, 0, 1, 0],
            [1, 0, 0, 1]], dtype=torch.int32)
    """
    space = as_space(queries)
    wrong = [t for t in tokens if not 0 <= t < space.body]
    if wrong or not tokens:
        raise LayoutError(f"global tokens {list(tokens)} in space {space}", hint=f"numbers of 0 .. {space.body - 1}")
    joined = reduce(or_, (_cross(space, int(t)) for t in sorted(set(tokens))))
    return replace(joined, name=f"global_tokens({space}, {sorted(set(tokens))})")


def _cross(space: Space, token: int) -> Pattern:
    at: list[int] = []
    for length in reversed(space.axes):
        at.insert(0, token % length)
        token //= length
    facts: list[tuple[int, ...]] = [(place,) for place in at]
    seen = [Axis(n, (a,) * n, (a + 1,) * n) for n, a in zip(space.axes, at, strict=True)]
    sees = [
        Axis(n, (0,) * (a + 1) + (n,) * (n - a - 1), (0,) * a + (n,) * (n - a))
        for n, a in zip(space.axes, at, strict=True)
    ]
    return separable("", space, _is_key, facts, seen) | separable("", space, _is_query, facts, sees)


def _is_key(i: Tensor, j: Tensor, place: int) -> Tensor:
    return (j == place) & (i >= 0)


def _is_query(i: Tensor, j: Tensor, place: int) -> Tensor:
    return (i == place) & (j >= 0)
