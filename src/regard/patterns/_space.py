"""`Space`: where the tokens of one side of a pattern lie, on one, two or three axes.

A type beside `Grid`, because a grid is a picture's: a line of tokens has one axis and a video three. Everything that
takes a space also takes a Grid, a whole number or a tuple of one to three of them.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.layout import Grid


@dataclass(frozen=True)
class Space:
    """`prefix` tokens (CLS, registers), then `axes[0] x axes[1] x ...` tokens, the last axis running fastest.

    Prefix tokens are global in every pattern: they see all keys, and all queries see them.

    >>> Space((8, 14, 14), prefix=1).tokens
    1569
    """

    axes: tuple[int, ...]
    prefix: int = 0

    def __post_init__(self) -> None:
        whole = all(isinstance(n, int) and not isinstance(n, bool) for n in (*self.axes, self.prefix))
        if not whole or not 1 <= len(self.axes) <= 3 or min(self.axes) < 1 or self.prefix < 0:
            raise LayoutError(
                f"a space has one to three axes of at least 1 token, and a prefix of at least 0; got {self.axes!r}, "
                f"prefix {self.prefix!r}",
                hint="Grid(14, 14, prefix=1), 196, or (8, 14, 14)",
            )

    @property
    def body(self) -> int:
        """Tokens on the axes."""
        return math.prod(self.axes)

    @property
    def tokens(self) -> int:
        """All tokens."""
        return self.prefix + self.body

    def __str__(self) -> str:
        return "x".join(map(str, self.axes)) + (f"+{self.prefix}" if self.prefix else "")

    def places(self, index: Tensor) -> list[Tensor]:
        """The place on each axis of body tokens by their number."""
        found: list[Tensor] = []
        for length in reversed(self.axes):
            found.insert(0, index % length)
            index = torch.div(index, length, rounding_mode="floor")
        return found


Place = Space | Grid | int | Sequence[int]


def as_space(given: Any) -> Space:
    """A Grid, a number of tokens or a tuple of lengths as a Space."""
    if isinstance(given, Space):
        return given
    if isinstance(given, Grid):
        return Space((given.h, given.w), given.prefix)
    try:
        lengths = [given] if not isinstance(given, Sequence) else list(given)
        return Space(tuple(operator.index(n) for n in lengths))
    except TypeError as error:
        raise LayoutError(f"{given!r} is no space", hint="Grid(14, 14, prefix=1), 196, or (8, 14, 14)") from error


def per_axis(value: Any, space: Space, name: str, *, least: int = 1) -> tuple[int, ...]:
    """One number for each axis: the same for all, or as many as there are axes; not below `least`."""
    many = list(value) if isinstance(value, Sequence) else [value] * len(space.axes)
    if len(many) != len(space.axes):
        raise LayoutError(
            f"{name} = {tuple(many)} has {len(many)} numbers; space {space} has {len(space.axes)} axes",
            hint=f"one number, or {len(space.axes)}",
        )
    try:
        whole = tuple(operator.index(n) for n in many)
    except TypeError as error:
        raise LayoutError(f"{name} = {value!r} counts tokens", hint="whole numbers") from error
    if min(whole) < least:
        raise LayoutError(f"{name} = {value!r}; it is at least {least}", hint=f"{name}={least}, say")
    return whole


def fits(name: str, sizes: Sequence[int], space: Space) -> None:
    """No window is larger than the axis it lies on."""
    for size, length in zip(sizes, space.axes, strict=True):
        if size > length:
            raise LayoutError(
                f"{name} = {tuple(sizes)} is larger than space {space} ({size} > {length})",
                hint=f"at most {', '.join(map(str, space.axes))}",
            )


def check_operands(q: Tensor, k: Tensor, queries: Space, keys: Space) -> None:
    """q and k are 4-D, of the same batch and width, and of as many tokens as their spaces."""
    fit = (
        q.ndim == k.ndim == 4 and q.shape[0] == k.shape[0] and q.shape[3] == k.shape[3] and q.shape[1] % k.shape[1] == 0
    )
    if not fit or (q.shape[2], k.shape[2]) != (queries.tokens, keys.tokens):
        raise LayoutError(
            f"q {list(q.shape)} and k {list(k.shape)} on spaces {queries} and {keys}",
            hint=f"q [B, H, {queries.tokens}, D], k [B, H, {keys.tokens}, D]",
        )
