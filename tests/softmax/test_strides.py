"""However operands, biases and incoming gradients lie in memory, numbers are those of contiguous ones."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import regard as rg
from regard.softmax.attend import attend

P = rg.patterns
GRID = (5, 8)
N = 40


def draw(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def columns(x: Tensor) -> Tensor:
    """Tokens run fastest, as they come out of a convolution."""
    return x.mT.contiguous().mT


def slices(x: Tensor) -> Tensor:
    """Every second number of a wider tensor."""
    return torch.stack([x, x + 1e3], -1).flatten(-2)[..., ::2]


def heads_last(x: Tensor) -> Tensor:
    return x.transpose(1, 2).contiguous().transpose(1, 2)


def over_batch(x: Tensor) -> Tensor:
    """One picture for all: no step between pictures."""
    return x[:1].expand_as(x)


def constant(x: Tensor) -> Tensor:
    """One number for all: no step at all."""
    return x.flatten()[0].expand_as(x)


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    made.__name__: made for made in (columns, slices, heads_last, over_batch, constant)
}
CASES = {
    "near": P.neighborhood(GRID, 3),
    "near, prefix": P.neighborhood(rg.Grid(3, 13, prefix=1), 3),
    "some": P.random(GRID, 5),
    "all": P.dense(GRID),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("impl", ["composite", "tiled", "dense"])
def test_operands_and_gradients(impl: str, layout: str) -> None:
    """Outputs, log sums and gradients, of every pattern; the output's gradient lies in the layout, too."""
    if impl == "tiled":
        cases = {name: pattern for name, pattern in CASES.items() if pattern.boxes is not None}
    else:
        cases = CASES
    for name, pattern in cases.items():
        found = []
        for laid, way in ((Tensor.contiguous, "reference"), (lambda x: x, impl)):
            leaves = [LAYOUTS[layout](draw(2, 2, N, 8, seed=i)) for i in range(3)]
            leaves = [laid(x).detach().requires_grad_() for x in leaves]
            made = attend(*leaves, pattern=pattern, impl=way)  # type: ignore[arg-type]
            grad = laid(LAYOUTS[layout](draw(2, 2, N, 8, seed=4)))
            slopes = torch.autograd.grad([made.out, made.lse], leaves, [grad, draw(2, 2, N, seed=5)])
            found.append([made.out, made.lse, *slopes])
        for expected, got in zip(*found, strict=True):
            torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-11, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("impl", ["composite", "dense"])
@pytest.mark.parametrize("layout", ["columns", "slices", "constant"])
def test_biases_and_masks(impl: str, layout: str) -> None:
    q, k, v = (draw(2, 2, N, 8, seed=i) for i in range(3))
    bias = LAYOUTS[layout](draw(2, 2, N, N, seed=3))
    keep = LAYOUTS[layout]((draw(1, 2, N, 1, seed=4) > -0.5)[..., 0].double()[:, :, None])[0, :, 0].bool()
    for pattern in CASES.values():
        got = attend(q, k, v, pattern=pattern, bias=bias, mask=keep, impl=impl)
        expected = attend(q, k, v, pattern=pattern, bias=bias.contiguous(), mask=keep.contiguous(), impl="reference")
        torch.testing.assert_close(got.out, expected.out, rtol=1e-10, atol=1e-11)
