"""What tests of operators share: fresh tensors in float64, gradients, and counted multiplications."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def flops(function: Callable[..., Tensor], *inputs: Tensor) -> int:
    """Floating-point operations of the matrix products in a call; attention is counted, too."""
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        function(*inputs)
    return counter.get_total_flops()


def with_gradients(function: Callable[..., Tensor], *inputs: Tensor) -> list[Tensor]:
    """The output, and the gradients of a fixed random readout of it."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    out = function(*leaves)
    return [out.detach(), *torch.autograd.grad((out * drawn(*out.shape, seed=99)).sum(), leaves)]


def gap(one: list[Tensor] | Tensor, other: list[Tensor] | Tensor) -> float:
    """The largest difference."""
    if isinstance(one, Tensor):
        one, other = [one], [other]  # type: ignore[list-item]
    return max(float((a - b).abs().max()) for a, b in zip(one, other, strict=True))


def dense(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention by hand; mask: True where a query may look."""
    logits = q @ k.mT / q.shape[-1] ** 0.5
    if mask is not None:
        logits = logits.masked_fill(~mask, float("-inf"))
    return torch.softmax(logits, -1) @ v
