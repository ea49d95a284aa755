"""flashbias works: exact for ALiBi and squared distances; for other biases as good as the rank allows."""

from __future__ import annotations

import torch
from torch import Tensor

import regard as rg
from regard.testing.marks import works

from .arithmetic import drawn, gap, with_gradients

low_rank_bias = rg.operators.low_rank_bias
N = 48


def biased(q: Tensor, k: Tensor, v: Tensor, bias: Tensor) -> Tensor:
    return torch.softmax(q @ k.mT / q.shape[-1] ** 0.5 + bias, -1) @ v


def qkv(seed: int = 0) -> list[Tensor]:
    return [drawn(2, 3, N, 8, seed=seed + i) for i in range(3)]


@works("flashbias")
def test_exact_for_alibi() -> None:
    """m (j - i) with rank 2 for three slopes, outputs and gradients, to 1e-10; for causal attention -m |i - j| of what
    is seen: the last query, which sees all, agrees with the absolute form."""
    at, slope = torch.arange(N).double(), torch.tensor([0.5, 0.25, 0.125]).double().view(3, 1, 1)
    ones = torch.ones(N).double()
    left = slope * torch.stack([-at, ones], -1)
    right = torch.stack([ones, at], -1).expand(3, -1, -1)
    inputs, bias = qkv(), slope * (at - at[:, None])
    ours = with_gradients(lambda *x: low_rank_bias(*x, left, right), *inputs)
    assert gap(ours, with_gradients(lambda *x: biased(*x, bias), *inputs)) < 1e-10
    absolute = biased(*inputs, -slope * (at - at[:, None]).abs())
    assert gap(ours[0][:, :, -1], absolute[:, :, -1]) < 1e-10
    assert gap(ours[0], absolute) > 0.01


@works("flashbias")
def test_exact_for_squared_distances_on_a_grid() -> None:
    """-c |p_i - p_j|^2 on 6 x 8 patches, with rank 4 for both axes together (3 for one), outputs and gradients."""
    where, inputs = rg.Grid(6, 8).centres().double(), qkv(5)
    square, ones = where.square().sum(-1, keepdim=True), torch.ones(N, 1).double()
    left = 0.1 * torch.cat([-square, -ones, 2 * where], -1)
    right = torch.cat([ones, square, where], -1)
    bias = -0.1 * torch.cdist(where, where).square()
    ours = with_gradients(lambda *x: low_rank_bias(*x, *(f.expand(3, -1, -1) for f in (left, right))), *inputs)
    assert gap(ours, with_gradients(lambda *x: biased(*x, bias), *inputs)) < 1e-9


@works("flashbias")
def test_other_biases_err_less_with_rank_and_by_no_more_than_the_singular_values_left() -> None:
    """The bias log(1 + distance) of a grid (full rank): factors from its singular vectors. The error of the bias is the
    next singular value in the spectral norm, the lowest that any factors of this rank can have; that of the output
    falls at every step, to 1e-10 at full rank."""
    where, (q, k, v) = rg.Grid(6, 8).centres().double(), qkv(9)
    bias = -torch.log1p(torch.cdist(where, where))
    u, s, vh = torch.linalg.svd(bias)
    wanted, errors = biased(q, k, v, bias), []
    for rank in (1, 2, 4, 8, 16, 32, N):
        left, right = u[:, :rank] * s[:rank], vh[:rank].T
        if rank < N:
            left_over = float(torch.linalg.matrix_norm(bias - left @ right.T, 2))
            assert abs(left_over / float(s[rank]) - 1) < 1e-6
            random = torch.linalg.matrix_norm(bias - bias @ (q_ := torch.linalg.qr(drawn(N, rank)).Q) @ q_.T, 2)
            assert float(random) > left_over
        out = low_rank_bias(q, k, v, left.expand(3, -1, -1), right.expand(3, -1, -1))
        errors.append(float((out - wanted).norm()))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-10
    assert errors[0] > 0.1
