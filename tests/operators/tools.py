"""What the tests of operators share: fresh tensors in float64, and agreement of outputs and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from regard.errors import LayoutError


def drawn(*shapes: tuple[int, ...], seed: int = 0) -> list[Tensor]:
    """Standard normal tensors in float64."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in shapes]


def qkv(seed: int = 0, *, b: int = 2, h: int = 3, q: int = 7, k: int = 7, d: int = 4, e: int = 5) -> list[Tensor]:
    """Queries, keys and values of odd sizes."""
    return drawn((b, h, q, d), (b, h, k, d), (b, h, k, e), seed=seed)


def differences(one: Callable[..., Tensor], other: Callable[..., Tensor], *inputs: Tensor) -> list[float]:
    """Largest differences between two functions: of the output, then of the gradient of each input."""
    found = []
    for function in (one, other):
        leaves = [x.clone().requires_grad_() for x in inputs]
        out = function(*leaves)
        pull = torch.randn(out.shape, generator=torch.Generator().manual_seed(9), dtype=out.dtype)
        gradients = torch.autograd.grad((out * pull).sum(), leaves, allow_unused=True)
        found.append(
            [out.detach(), *(torch.zeros_like(x) if g is None else g for g, x in zip(gradients, inputs, strict=True))]
        )
    assert all(a.shape == b.shape for a, b in zip(*found, strict=True)), [[list(x.shape) for x in f] for f in found]
    return [float((a - b).abs().max()) for a, b in zip(*found, strict=True)]


def agree(one: Callable[..., Tensor], other: Callable[..., Tensor], *inputs: Tensor, tol: float = 1e-10) -> None:
    """Outputs and gradients are the same."""
    found = differences(one, other, *inputs)
    assert max(found) < tol, found


def dense(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention by hand; mask: True where a query may look."""
    logits = q @ k.mT / q.shape[-1] ** 0.5
    if mask is not None:
        logits = logits.masked_fill(~mask, float("-inf"))
    return torch.softmax(logits, -1) @ v


def normalised(weights: Tensor) -> Tensor:
    return weights / weights.sum(-1, keepdim=True)


def refuses(text: str, hint: str, function: Callable[..., Any], *inputs: Any, **options: Any) -> None:
    """A LayoutError with these words."""
    with pytest.raises(LayoutError) as caught:
        function(*inputs, **options)
    assert text in caught.value.message, caught.value.message
    assert hint in caught.value.hint, caught.value.hint
