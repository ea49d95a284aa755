"""epipolar-attention works: matches lie on their lines, both forms agree, and the lines help to match."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import regard as rg
from regard.operators.epipolar_line import points_on_lines
from regard.testing.marks import works

GRID = rg.Grid(24, 24)
FOCAL, DEPTH = 30.0, 6.0


def views(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """A plane seen by two cameras: F, the true match of each cell `[N, 2]`, and whether it is in the other view."""
    g = torch.Generator().manual_seed(seed)
    a, b, c = (torch.randn(3, generator=g, dtype=torch.float64) * 0.08).tolist()
    turn = torch.linalg.matrix_exp(torch.tensor([[0, -c, b], [c, 0, -a], [-b, a, 0]], dtype=torch.float64))
    move = torch.randn(3, generator=g, dtype=torch.float64) * 0.6
    x, y, z = move.tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    camera = torch.tensor([[FOCAL, 0, 12], [0, FOCAL, 12], [0, 0, 1]], dtype=torch.float64)
    back = camera.inverse()
    rows, columns = torch.meshgrid(torch.arange(24) + 0.5, torch.arange(24) + 0.5, indexing="ij")
    cells = torch.stack([columns, rows, torch.ones_like(rows)], -1).view(-1, 3).double()
    seen_there = (DEPTH * cells @ back.T) @ turn.T + move
    there = seen_there @ camera.T
    match = there[:, :2] / there[:, 2:]
    inside = ((match >= 0.5) & (match <= 23.5)).all(-1)
    return back.T @ cross @ turn @ back, match, inside


def textures(seed: int, match: Tensor) -> tuple[Tensor, Tensor]:
    """Features of the other view, a pattern that repeats every six cells; and this view's, read at the true matches."""
    g = torch.Generator().manual_seed(100 + seed)
    tile = torch.randn(1, 16, 6, 6, generator=g, dtype=torch.float64)
    noise = 0.2 * torch.randn(1, 16, 24, 24, generator=g, dtype=torch.float64)
    other = tile.repeat(1, 1, 4, 4) + noise
    at = (2 * match / 24 - 1).view(1, 24, 24, 2)
    own = F.grid_sample(other, at, align_corners=False, padding_mode="border")
    own = own + 0.2 * torch.randn(own.shape, generator=g, dtype=torch.float64)
    return own.flatten(2).mT[None], other.flatten(2).mT[None]


@works("epipolar-attention")
@pytest.mark.parametrize("seed", range(4))
def test_lines_hold_the_matches_and_help_to_find_them(seed: int) -> None:
    """True matches lie within 1e-9 of a cell of their lines; the sampled form and the dense form masked to the line
    agree exactly where the line runs through cell centres; the mean place that attention looks at is nearer to
    the match than that of unrestricted attention, which repeated texture misleads, and so is its argmax.
    """
    f, match, inside = views(seed)
    assert inside.sum() > 100
    y, x = torch.meshgrid(torch.arange(24) + 0.5, torch.arange(24) + 0.5, indexing="ij")
    cells = torch.stack([x, y, torch.ones_like(x)], -1).view(-1, 3).double()
    lines = cells @ f.T
    lifted = torch.cat([match, torch.ones(len(match), 1)], 1)
    assert ((lines * lifted).sum(-1) / lines[:, :2].norm(dim=-1)).abs().max() < 1e-9

    q, k = textures(seed, match)
    places = cells[None, None, :, :2]
    sharp = 4.0
    free = (q @ k.mT * sharp).softmax(-1)
    error = (places[0, 0][free[0, 0].argmax(-1)] - match).norm(dim=-1)[inside]
    band = rg.patterns.epipolar(GRID, fundamental=f, band=1.0)
    masked = (q @ k.mT * sharp).masked_fill(~band.mask(), float("-inf")).softmax(-1)
    on_line = (places[0, 0][masked[0, 0].argmax(-1)] - match).norm(dim=-1)[inside]
    assert on_line.mean() < 0.8 * error.mean()

    where, _ = points_on_lines(f[None], GRID, 64)
    sampled = rg.operators.epipolar_line(q, k, places, f[None], GRID, samples=64, scale=sharp)
    dense = free @ places
    far, near = ((t[0, 0] - match).norm(dim=-1)[inside].mean() for t in (dense, sampled))
    assert near < 0.8 * far
    assert where.shape == (1, GRID.patches, 64, 2)


@works("epipolar-attention")
@pytest.mark.parametrize("views_seen", [1, 3])
def test_forms_agree_on_rectified_views(views_seen: int) -> None:
    """Several views together: one softmax over the rows of all of them, as one masked attention over their tokens."""
    g = torch.Generator().manual_seed(views_seen)
    small = rg.Grid(4, 6)
    q = torch.randn(1, 2, 24, 8, generator=g, dtype=torch.float64)
    k, v = torch.randn(2, 1, 2, views_seen * 24, 8, generator=g, dtype=torch.float64)
    rectified = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]]).double().expand(views_seen, 3, 3)
    mask = rg.patterns.epipolar(small, band=0.4).mask().repeat(1, views_seen)
    dense = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    torch.testing.assert_close(rg.operators.epipolar_line(q, k, v, rectified, small, samples=6), dense)
