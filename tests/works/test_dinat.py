"""dinat works: dilated neighborhoods equal the masked oracle, cover the grid, and widen the field as predicted."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg
from regard.testing.marks import works


def near(axes: tuple[int, int], window: int, dilation: int = 1) -> Tensor:
    """Pairs by listing: in each residue the window of the nearest neighbours, moved inwards at the border."""
    sides = []
    for length in axes:
        seen = torch.zeros(length, length, dtype=torch.bool)
        for i in range(length):
            group = list(range(i % dilation, length, dilation))
            start = min(max(group.index(i) - window // 2, 0), len(group) - window)
            seen[i, group[start : start + window]] = True
        sides.append(seen.float())
    return torch.kron(sides[0], sides[1]).bool()


@works("dinat")
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_oracle_and_covers_and_widens(seed: int) -> None:
    """Outputs and gradients to 1e-11 over windows and dilations; window = grid is dense; blocks of dilation 1, 3, 9
    with window 3 reach 27 tokens along an axis, by gradient. NATTEN itself is asked in tests/softmax/test_natten.py."""
    draw = torch.Generator().manual_seed(seed)
    axes = (14, 17)
    leaves = [torch.randn(2, 2, 238, 8, generator=draw, dtype=torch.float64).requires_grad_() for _ in range(3)]
    q, k, v = leaves
    weight = torch.randn(2, 2, 238, 8, generator=draw, dtype=torch.float64)
    for window, dilation in ((3, 1), (3, 4), (5, 2), (7, 2), (4, 3)):
        mask = near(axes, window, dilation)
        expected = (q @ k.mT * 8**-0.5).masked_fill(~mask, float("-inf")).softmax(-1) @ v
        got = rg.attend(q, k, v, pattern=rg.patterns.neighborhood(axes, window, 1, dilation), impl="tiled").out
        torch.testing.assert_close(got, expected, rtol=1e-11, atol=1e-11)
        for one, other in zip(*(torch.autograd.grad((x * weight).sum(), leaves) for x in (got, expected)), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    whole = rg.attend(q, k, v, pattern=rg.patterns.neighborhood(axes, axes), impl="tiled").out
    torch.testing.assert_close(whole, rg.attend(q, k, v, impl="reference").out, rtol=1e-11, atol=1e-11)
    assert rg.patterns.neighborhood(axes, 5, 1, 1) == rg.patterns.neighborhood(axes, 5)

    x = torch.randn(1, 1, 81, 4, generator=draw, dtype=torch.float64).requires_grad_()
    field, reach = x, 1
    for dilation in (1, 3, 9):
        field = rg.attend(field, field, field, pattern=rg.patterns.neighborhood(81, 3, 1, dilation), impl="tiled").out
        reach += 2 * dilation
        (grad,) = torch.autograd.grad(field[0, 0, 40].sum(), x, retain_graph=True)
        touched = grad[0, 0].ne(0).any(-1).nonzero().flatten().tolist()
        assert touched == list(range(40 - reach // 2, 41 + reach // 2))  # without holes: 3, 9, 27
    assert reach == 27
