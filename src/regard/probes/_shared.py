"""What several probes do alike."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.core.call import Rows
from regard.errors import CallError
from regard.layout import Grid


def patch_rows(rows: Rows, grid: Grid) -> tuple[Float[Tensor, "b h here patches"], int]:
    """From the block's patch queries to patch keys (a view), and the number of its first patch query."""
    grid.check_tokens(rows.probs.shape[-1], "the attention row")
    first, last = max(rows.start, grid.prefix), max(rows.stop, grid.prefix)
    return rows.probs[:, :, first - rows.start : last - rows.start, grid.prefix :], first - grid.prefix


def check_indices(what: str, asked: tuple[int, ...], there: int) -> None:
    """Refuse an index that is not in 0 .. there - 1; none counts from the end."""
    wrong = [i for i in asked if not 0 <= i < there]
    if wrong:
        raise CallError(f"no {what} {wrong[0]}: the call has {there}", hint=f"0 .. {there - 1}")


def lengths(vectors: Float[Tensor, "b hk n d"], heads: int) -> Float[Tensor, "b h n"]:
    """L2 norms at least in float32; heads that share their vectors each get them."""
    wide = torch.promote_types(vectors.dtype, torch.float32)
    norms = torch.linalg.vector_norm(vectors, dim=-1, dtype=wide)
    return norms.repeat_interleave(heads // vectors.shape[1], dim=1)
