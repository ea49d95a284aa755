"""Explicit: any mask of your own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.patterns._pattern import Held, Pattern
from regard.patterns._space import Place, as_space
from regard.registry import method


@method(
    "patterns",
    paper="transformer",
    claim="its mask is the mask that was given",
    source="eq. 1 with a mask",
    needs=(),
    differs="none",
    unit="pairs",
)
def explicit(allowed: Tensor, queries: Place | None = None, keys: Place | None = None) -> Pattern:
    """The mask itself: bool `[Q, K]`, or `[B, H, Q, K]`; True: may look. It is held, so it costs Q x K bytes.

    queries, keys: where tokens lie; if not given, in a row. They have no prefix: the mask says all.

    Raises LayoutError for another type or shape.

    >>> import regard as rg, torch
    >>> rg.patterns.explicit(torch.eye(3, dtype=torch.bool)).count()
    3
    """
    if allowed.dtype != torch.bool or allowed.ndim not in (2, 4):
        raise LayoutError(f"a mask {list(allowed.shape)} {allowed.dtype}", hint="bool [Q, K] or [B, H, Q, K]")
    space = as_space(allowed.shape[-2] if queries is None else queries)
    other = as_space(allowed.shape[-1] if keys is None else keys)
    if space.prefix or other.prefix or (space.tokens, other.tokens) != tuple(allowed.shape[-2:]):
        raise LayoutError(
            f"a mask {list(allowed.shape)} on spaces {space} and {other}", hint="as many tokens, and no prefix"
        )
    name = f"explicit({space}, {other})"
    return Pattern(name, space, other, Given(Held(allowed)), lead=tuple(allowed.shape[:-2]))


@dataclass(frozen=True)
class Given:
    """A pair that is True in the mask."""

    allowed: Held

    def __call__(self, query: Tensor, key: Tensor) -> Tensor:
        return self.allowed.tensor.to(key.device)[..., query, key]
