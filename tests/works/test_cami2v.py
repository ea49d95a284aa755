"""cami2v works: attention between frames keeps to the epipolar line, with tokens to fall back on off the picture."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg
from regard.testing.marks import works

SIDE, CELL, FOCAL = 12, 8.0, 90.0


def fundamental(draw: torch.Generator) -> Tensor:
    """F = K^-T [t]x R K^-1 of a camera that turns a little and moves."""
    a, b, c = (torch.randn(3, generator=draw, dtype=torch.float64) * 0.1).tolist()
    turn = torch.linalg.matrix_exp(torch.tensor([[0, -c, b], [c, 0, -a], [-b, a, 0]], dtype=torch.float64))
    x, y, z = torch.randn(3, generator=draw, dtype=torch.float64).tolist()
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
    middle = SIDE * CELL / 2
    camera = torch.tensor([[FOCAL, 0, middle], [0, FOCAL, middle], [0, 0, 1]], dtype=torch.float64)
    back = camera.inverse()
    return back.T @ cross @ turn @ back


def distances(f: Tensor) -> Tensor:
    """Pixels between each key's centre and each query's line: by the foot of the perpendicular, not by the formula."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    points = (torch.stack([x, y], -1).view(-1, 2).double() + 0.5) * CELL
    lines = torch.cat([points, torch.ones(SIDE**2, 1)], 1).double() @ f.T
    normal = lines[:, :2]
    foot_of_origin = -lines[:, 2:] * normal / normal.pow(2).sum(-1, keepdim=True)
    along = torch.stack([-normal[:, 1], normal[:, 0]], -1)
    along = along / along.norm(dim=-1, keepdim=True)
    away = points[None] - foot_of_origin[:, None]
    return (away - (away * along[:, None]).sum(-1, keepdim=True) * along[:, None]).norm(dim=-1)


@works("cami2v")
@pytest.mark.parametrize("seed", range(4))
def test_epipolar_masks_with_registers(seed: int) -> None:
    """Mask = distance from point to line <= band; queries whose line leaves the picture get the registers' output, and
    it is finite; gradients reach q, k, v and the registers; a band as wide as the picture is full attention."""
    draw = torch.Generator().manual_seed(seed)
    f = fundamental(draw)
    pattern = rg.patterns.epipolar((SIDE, SIDE), fundamental=f, band=CELL / 2, cell=CELL)
    mask = pattern.mask()
    assert mask.equal(distances(f) <= CELL / 2)

    tokens = SIDE**2
    leaves = [
        torch.randn(1, 2, n, 8, generator=draw, dtype=torch.float64).requires_grad_() for n in (tokens,) * 3 + (2, 2)
    ]
    q, k, v, *registers = leaves
    for blind in (False, True):  # with the keys' picture moved far away, no line meets it
        away = torch.eye(3, dtype=torch.float64)
        away[2, 1] = -1e4 * blind  # l' = F-row shift: lines of y' + 1e4
        shown = rg.patterns.epipolar((SIDE, SIDE), fundamental=away @ f, band=CELL / 2, cell=CELL)
        out = rg.attend(q, k, v, pattern=shown, extra_kv=(registers[0], registers[1])).out
        assert out.isfinite().all()
        unseen = ~shown.mask().any(-1)
        only = (q @ registers[0].mT * 8**-0.5).softmax(-1) @ registers[1]
        torch.testing.assert_close(out[:, :, unseen], only[:, :, unseen], rtol=1e-11, atol=1e-12)
        grads = torch.autograd.grad(out.pow(2).sum(), leaves)
        assert all(g.isfinite().all() for g in grads)
        assert all(g.abs().sum() > 0 for g in (grads if not blind else grads[3:]))
    assert bool(unseen.any())
    wide = rg.patterns.epipolar((SIDE, SIDE), fundamental=f, band=1e5, cell=CELL)
    full = rg.attend(q, k, v, impl="reference").out
    torch.testing.assert_close(rg.attend(q, k, v, pattern=wide).out, full, rtol=1e-11, atol=1e-12)
