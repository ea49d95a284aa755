from __future__ import annotations

import torch
from torch import Tensor

import regard as rg
from regard.operators.polyline import path_mask

from .tools import agree, dense, drawn, qkv, refuses

polyline = rg.operators.polyline
GRID = rg.Grid(3, 4)


def walked(decay: Tensor) -> Tensor:
    """Each pair's product, one step of its path at a time."""
    mask = torch.ones(*decay.shape[:2], 12, 12, dtype=decay.dtype)
    for i in range(12):
        for j in range(12):
            (y, x), (to_y, to_x) = divmod(i, 4), divmod(j, 4)
            for column in range(min(x, to_x) + 1, max(x, to_x) + 1):
                mask[:, :, i, j] *= decay[:, :, 4 * y + column, 0]
            for row in range(min(y, to_y) + 1, max(y, to_y) + 1):
                mask[:, :, i, j] *= decay[:, :, 4 * row + to_x, 1]
    return mask


def slow(q: Tensor, k: Tensor, v: Tensor, decay: Tensor) -> Tensor:
    mask, e = walked(torch.sigmoid(decay)), (q @ k.mT / 2).exp()
    out = 0
    for m in (mask, mask.mT):
        out = out + (e * m) / (e * m).sum(-1, keepdim=True) @ v / 2
    return out  # type: ignore[return-value]


def test_equals_walking_every_path() -> None:
    logits = drawn((2, 3, 12, 2), seed=1)[0]
    decay = torch.sigmoid(logits)
    assert torch.allclose(path_mask(decay, GRID).exp(), walked(decay), atol=1e-12)
    q, k, v = qkv(q=12, k=12)
    assert torch.allclose(polyline(q, k, v, GRID, decay), slow(q, k, v, logits), atol=1e-12)


def test_gradients_of_q_k_v_and_decays() -> None:
    q, k, v = (x[:1, :1, :6] for x in qkv(q=12, k=12))
    decay = torch.sigmoid(drawn((1, 1, 6, 2), seed=1)[0])
    leaves = [x.clone().requires_grad_() for x in (q, k, v, decay)]
    assert torch.autograd.gradcheck(lambda q, k, v, d: polyline(q, k, v, rg.Grid(2, 3), d), leaves)


def test_decays_of_one_are_plain_attention() -> None:
    q, k, v = qkv(q=12, k=12)
    assert torch.allclose(polyline(q, k, v, GRID, torch.ones(2, 3, 12, 2).double()), dense(q, k, v), atol=1e-12)
    half = torch.full((2, 3, 12, 2), 0.5, dtype=torch.float64)
    agree(lambda *x: polyline(*x, GRID, half), dense_decayed, q, k, v)


def dense_decayed(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    steps = (GRID.centres()[:, None] - GRID.centres()).abs().sum(-1).double()
    weights = (q @ k.mT / 2).exp() * 0.5**steps
    return weights / weights.sum(-1, keepdim=True) @ v


def test_refusals() -> None:
    q, k, v = qkv(q=12, k=12)
    refuses("decay [2, 3, 12, 2]", "above 0 and up to 1", polyline, q, k, v, GRID, torch.zeros(2, 3, 12, 2))
    refuses("decay [2, 3, 12, 1]", "[B, H, N, 2]", polyline, q, k, v, GRID, torch.ones(2, 3, 12, 1))
