"""The law of layout: axis words, units, and the grid that ties tokens to a picture.

q k v            [B, H, N, D]        batch, heads, tokens, head width
logits, probs    [B, H, Q, K]        probs sum to 1 over K
tokens           [B, N, C]           prefix tokens (CLS, registers) first, then patches row by row
images           [B, 3, H, W]
maps             [B, h, w]           with a `Grid`

Units: entropy in bits, distance in patches (grid steps), positions in pixels, time in seconds;
x grows to the right, y downwards. Adapters convert at the border and nowhere else.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from regard.errors import LayoutError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Grid:
    """How a row of tokens lies on the picture: `prefix` tokens, then `h` x `w` patches row by row.

    >>> Grid(2, 3, prefix=1).tokens
    7
    """

    h: int
    w: int
    prefix: int = 0

    def __post_init__(self) -> None:
        for side in ("h", "w", "prefix"):
            try:
                whole = operator.index(getattr(self, side))
            except TypeError as error:
                raise LayoutError(
                    f"a grid counts in whole numbers; {side} is {getattr(self, side)!r}", hint="Grid(h=14, w=14)"
                ) from error
            object.__setattr__(self, side, whole)  # NumPy's integers do not go through JSON
        if self.h < 1 or self.w < 1 or self.prefix < 0:
            raise LayoutError(
                f"a grid needs h, w >= 1 and prefix >= 0; got {self.h} x {self.w}, prefix {self.prefix}",
                hint="Grid(h=14, w=14, prefix=1) for 197 tokens",
            )

    @property
    def patches(self) -> int:
        """Number of tokens that are patches: h * w."""
        return self.h * self.w

    @property
    def tokens(self) -> int:
        """Number of all tokens: prefix + h * w."""
        return self.prefix + self.patches

    def __str__(self) -> str:
        return f"{self.h}x{self.w}" + (f"+{self.prefix}" if self.prefix else "")

    def check_tokens(self, n: int, what: str) -> None:
        """Raise `LayoutError` unless `n` tokens fit this grid."""
        if n != self.tokens:
            raise LayoutError(
                f"{what} has {n} tokens, but grid {self} has {self.tokens}",
                hint=f"a Grid(h, w, prefix) with prefix + h*w = {n}",
            )

    def to_map(self, tokens: Tensor) -> Tensor:
        """Drop the prefix of `[..., N]` and lay the patches out as `[..., h, w]`."""
        self.check_tokens(tokens.shape[-1], "a row of values")
        return tokens[..., self.prefix :].unflatten(-1, (self.h, self.w))

    def centres(self) -> Tensor:
        """Patch centres as `[h*w, 2]` (x, y) in patches; the first patch lies at (0, 0)."""
        import torch

        y, x = torch.meshgrid(torch.arange(self.h), torch.arange(self.w), indexing="ij")
        return torch.stack([x.flatten(), y.flatten()], dim=-1).to(torch.get_default_dtype())

    def distances(self) -> Tensor:
        """Euclidean distance between patch centres, `[h*w, h*w]`, in patches."""
        import torch

        return torch.cdist(self.centres(), self.centres(), compute_mode="donot_use_mm_for_euclid_dist")

    def cells(self, size: int) -> Tensor:
        """For each patch, `[h*w]`, the number of its cell of `size` x `size` patches; cells row by row."""
        import torch

        if size < 1:
            raise LayoutError(f"cells of {size} x {size} patches", hint="a size of at least 1")
        y, x = torch.meshgrid(torch.arange(self.h) // size, torch.arange(self.w) // size, indexing="ij")
        return (y * -(-self.w // size) + x).flatten()

    def uniform_distance(self) -> float:
        """Mean distance (patches) of a query that looks everywhere alike: the yardstick for 'global'."""
        return float(self.distances().mean())


@dataclass(frozen=True)
class Windows:
    """How a map of tokens was cut: rolled up and left by `shift`, padded below and right, cut into windows row by row.

    >>> Windows(Grid(56, 56), size=(7, 7), shift=(3, 3)).count
    64
    """

    grid: Grid
    size: tuple[int, int]
    shift: tuple[int, int] = (0, 0)

    @property
    def inside(self) -> Grid:
        """The grid of one window."""
        return Grid(*self.size)

    @property
    def count(self) -> int:
        """Windows of one picture."""
        return -(-self.grid.h // self.size[0]) * -(-self.grid.w // self.size[1])

    def to_map(self, values: Tensor) -> Tensor:
        """Values of the tokens of each window, `[B * count, ..., N]`, back in their places: `[B, ..., h, w]`."""
        across = -(-self.grid.w // self.size[1])
        if values.shape[0] % self.count or values.shape[-1] != self.size[0] * self.size[1]:
            raise LayoutError(
                f"{list(values.shape)} are no values of {self.count} windows of {self.size[0]} x {self.size[1]} tokens",
                hint=f"[B * {self.count}, ..., {self.size[0] * self.size[1]}]",
            )
        apart = values.unflatten(0, (-1, self.count // across, across)).unflatten(-1, self.size)
        whole = apart.movedim((1, 2), (-4, -2)).flatten(-2).flatten(-3, -2)
        return whole[..., : self.grid.h, : self.grid.w].roll(self.shift, (-2, -1))
