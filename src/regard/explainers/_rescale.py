"""DeepLIFT's multipliers: a torch-function mode under which non-linearities go backward as finite differences.

Picture and baseline run as one batch, `[x; b]`, so that every non-linearity sees both.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from regard.subjects.scorer import Scorer

NEAR = 1e-10  # below this difference the multiplier is the derivative
ELEMENTWISE: frozenset[Any] = frozenset(
    {
        F.relu, torch.relu, Tensor.relu, F.relu6, F.leaky_relu, F.elu, F.selu, F.celu, F.gelu, F.silu, F.mish,
        F.softplus, F.hardtanh, F.hardswish, F.hardsigmoid, F.logsigmoid, F.softsign, F.tanhshrink,
        F.sigmoid, torch.sigmoid, Tensor.sigmoid, F.tanh, torch.tanh, Tensor.tanh,
        torch.exp, Tensor.exp, torch.clamp, Tensor.clamp, torch.abs, Tensor.abs,
    }
)  # fmt: skip
IN_PLACE: dict[Any, Callable[..., Tensor]] = {
    torch.relu_: torch.relu, Tensor.relu_: torch.relu, F.relu_: torch.relu, F.hardtanh_: F.hardtanh,
    F.leaky_relu_: F.leaky_relu, F.elu_: F.elu, F.celu_: F.celu, F.selu_: F.selu, Tensor.sigmoid_: torch.sigmoid,
    torch.sigmoid_: torch.sigmoid, Tensor.tanh_: torch.tanh, torch.tanh_: torch.tanh, Tensor.clamp_: torch.clamp,
}  # fmt: skip
POOLS: frozenset[Any] = frozenset({F.max_pool1d, F.max_pool2d, F.max_pool3d, F.adaptive_max_pool2d})


class Rescaling(TorchFunctionMode):
    """While on, an element-wise function or a max pooling of `[x; b]` has finite differences for its derivative."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        whole = func in ELEMENTWISE or func in IN_PLACE
        if not (whole or func in POOLS) or not args or not isinstance(args[0], Tensor) or not args[0].requires_grad:
            return func(*args, **kwargs)
        if "inplace" in kwargs:
            kwargs = {**kwargs, "inplace": False}
        run = partial(_with_rest, IN_PLACE.get(func, func), args[1:], kwargs)
        return _Elementwise.apply(args[0], run) if whole else _Pooled.apply(args[0], run)


def _with_rest(func: Any, rest: tuple[Any, ...], kwargs: dict[str, Any], z: Tensor) -> Tensor:
    out: Tensor = func(z, *rest, **kwargs)
    return out


def _differences(z: Tensor) -> Tensor:
    """z - z_b, for both halves."""
    first, second = z.chunk(2)
    return (first - second).repeat(2, *(1,) * (z.ndim - 1))


class _Elementwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
        out = run(z.detach())
        ctx.save_for_backward(z, out)
        ctx.run = run
        return out.clone() if out is z else out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        z, out = ctx.saved_tensors
        near, rise = _differences(z), _differences(out)
        with torch.enable_grad(), torch._C.DisableTorchFunction():
            leaf = z.detach().requires_grad_()
            (local,) = torch.autograd.grad(ctx.run(leaf), leaf, grad)
        return torch.where(near.abs() < NEAR, local, grad * rise / near), None


class _Pooled(torch.autograd.Function):
    """A maximum M over z: what it rises by is credited to where its maximum lies in x, and to where it lies in b.

    With M* = max(M(x), M(b)): M(x) - M(b) = (M* - M(b)) - (M* - M(x)); the first part goes to the place of x's
    maximum, the second to that of b's, each over the difference there.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.save_for_backward(z)
        ctx.run = run
        return run(z.detach())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (z,) = ctx.saved_tensors
        with torch.enable_grad(), torch._C.DisableTorchFunction():
            leaf = z.detach().requires_grad_()
            out = ctx.run(leaf)
            of_x, of_b = out.detach().chunk(2)
            top = torch.maximum(of_x, of_b)
            both = torch.cat([top - of_b, of_x - top])
            (routed,) = torch.autograd.grad(out, leaf, grad.chunk(2)[0].repeat(2, *(1,) * (grad.ndim - 1)) * both)
        near = _differences(z)
        first, second = routed.chunk(2)
        summed = (first + second).repeat(2, *(1,) * (z.ndim - 1))
        return torch.where(near.abs() < NEAR, torch.zeros_like(z), summed / near), None


def rescaled(score: Scorer, x: Tensor, start: Tensor) -> Tensor:
    """The multipliers of each pixel, `[B, C, H, W]`."""
    pair = torch.cat([x, start])
    with Rescaling():
        return score.slope(pair, only=len(x))[: len(x)]
