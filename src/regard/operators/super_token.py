"""Super token attention: tokens softly gathered into super tokens, which attend to each other and give back."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.layout import Grid
from regard.operators._shared import (
    Keys,
    Output,
    Queries,
    Tokens,
    Values,
    check,
    check_count,
    check_float,
    check_grid,
    softmax_attention,
)  # fmt: skip
from regard.registry import method


@method(
    "operators",
    paper="super-token-attention",
    claim="cells of one token are plain attention; equals dense matrices of associations by hand",
    source="the paper's sparse association, super tokens' attention and mapping back",
    needs={"q", "k", "v", "tokens", "grid"},
    differs="q, k and v are gathered and not computed from super tokens, which for linear maps is the same",
    unit="values",
    kinds="self",
)
def super_token(
    q: Queries, k: Keys, v: Values, tokens: Tokens, grid: Grid, *, cell: int = 2, iterations: int = 1,
    scale: float | None = None,
) -> Output:  # fmt: skip
    """out = A softmax(scale (G q)(G k)^T) (G v), where A associates each token with the super tokens of nearby cells.

    Super tokens start as means of cell x cell patches. A_is = softmax over the 3 x 3 cells around the token's own of
    x_i . s / sqrt(C); G is A^T with rows that sum to 1; s = G x, `iterations` times. cell 1: plain attention.
    scale: 1 / sqrt(D) unless given.

    q, k [B, H, N, D], v [B, H, N, E], tokens x [B, N, C] on a grid of N patches; gives [B, H, N, E].

    Raises LayoutError where shapes do not fit, or cells do not divide the grid. Source: Huang et al. 2023, "Vision
    Transformer with Super Token Sampling".

    >>> import regard as rg, torch
    >>> q, k, v, x = *torch.randn(3, 1, 2, 16, 4), torch.randn(1, 16, 8)
    >>> rg.operators.super_token(q, k, torch.ones_like(v), x, rg.Grid(4, 4)).sub(1).abs().max() < 1e-5
    tensor(True)
    """
    check(q, k, v, same_count=True)
    check_grid(grid, q)
    check_float("tokens", tokens, "B, N, C")
    if tokens.shape[:2] != (q.shape[0], q.shape[2]):
        raise LayoutError(f"tokens {list(tokens.shape)} for q {list(q.shape)}", hint="[B, N, C]")
    if cell == 1:
        return softmax_attention(q, k, v, scale=scale)
    a = associate(tokens, grid, cell, iterations)[:, None]
    gather = (a / a.sum(2, keepdim=True)).mT
    return a @ softmax_attention(gather @ q, gather @ k, gather @ v, scale=scale)


def associate(tokens: Tensor, grid: Grid, cell: int, iterations: int) -> Tensor:
    """Shares of each token in each super token, `[B, N, S]`, from tokens `[B, N, C]`; rows sum to 1."""
    check_count("iterations", iterations, 1)
    if cell < 1 or grid.h % cell or grid.w % cell:
        raise LayoutError(f"cells of {cell} x {cell} on grid {grid}", hint="a size that divides both sides")
    near = _near(grid, cell, tokens.device)
    maps = tokens.mT.unflatten(-1, (grid.h, grid.w))
    supers = F.avg_pool2d(maps, cell).flatten(2).mT
    for _ in range(iterations):
        logits = tokens @ supers.mT / tokens.shape[-1] ** 0.5
        a = torch.softmax(logits.masked_fill(~near, float("-inf")), -1)
        supers = a.mT @ tokens / a.sum(1)[..., None]
    return a


def _near(grid: Grid, cell: int, device: torch.device) -> Tensor:
    """Whether a super token's cell touches the token's own, [N, S]."""
    own = grid.cells(cell).to(device)
    across = grid.w // cell
    cells = torch.arange((grid.h // cell) * across, device=device)
    rows = (own[:, None] // across - cells // across).abs() <= 1
    return rows & ((own[:, None] % across - cells % across).abs() <= 1)
