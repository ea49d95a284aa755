"""Layer-wise relevance as input times a gradient that is changed on the way: a torch-function mode with rules.

What goes backward is c = R / z, so that sums, means, poolings and reshapings share relevance out by themselves and
nothing is divided by an activation that may be zero. A batch normalisation behind a linear layer is one layer with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from regard.errors import CallError
from regard.explainers._rescale import IN_PLACE
from regard.subjects.scorer import Scorer

Rule = Literal["zplus", "epsilon"]
CONVOLUTIONS: frozenset[Any] = frozenset({F.conv1d, F.conv2d, F.conv3d})
PASSED: frozenset[Any] = frozenset(
    {
        F.relu, torch.relu, Tensor.relu, F.relu6, F.leaky_relu, F.elu, F.selu, F.celu, F.gelu, F.silu, F.mish,
        F.hardtanh, F.hardswish, F.tanh, torch.tanh, Tensor.tanh, torch.clamp, Tensor.clamp,
    }
)  # fmt: skip
SOFTMAX: frozenset[Any] = frozenset({F.softmax, torch.softmax, Tensor.softmax})
WITHOUT: frozenset[Any] = frozenset({F.group_norm, F.instance_norm, F.rms_norm, F.normalize, F.glu})


class Relevance(TorchFunctionMode):
    """While on, gradients are those that times the input give relevance.

    opens: functions that hide layers from a mode, each with one that shows them. RULED: layers to which `rule` applies;
    to others, epsilon.
    """

    RULED = CONVOLUTIONS

    def __init__(self, rule: Rule, epsilon: float, opens: Mapping[Any, Callable[..., Any]]) -> None:
        super().__init__()
        self.rule, self.epsilon, self.opens = rule, epsilon, opens
        self._linear: tuple[Tensor, tuple[Any, ...]] | None = None  # what the last convolution gave, and was given

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in self.opens:
            with self:  # torch switches a mode off while it handles a function
                return self.opens[func](*args, **kwargs)
        if func in WITHOUT:
            raise CallError(
                f"relevance has no rule for {getattr(func, '__name__', func)}",
                hint="a CNN with batch normalisation, a ViT, or input_x_gradient",
            )
        if func in CONVOLUTIONS or func is F.linear:
            return self._layer(func, *_bound(args, kwargs, ("input", "weight", "bias")))
        if func is F.batch_norm:
            return self._normalised(*args, **kwargs)
        if func is F.layer_norm:
            return _layer_norm(*args, **kwargs)
        if func in SOFTMAX:
            return func(*args, **kwargs).detach()
        if func is F.scaled_dot_product_attention:
            q, k, *rest = args
            return func(q.detach(), k.detach(), *rest, **kwargs)
        if func in PASSED or func in IN_PLACE:
            run = partial(IN_PLACE.get(func, func), **{k: v for k, v in kwargs.items() if k != "inplace"})
            return _Passed.apply(args[0], lambda z: run(z, *args[1:]))
        return func(*args, **kwargs)

    def _layer(self, func: Any, first: tuple[Any, ...], rest: tuple[Any, ...], more: dict[str, Any]) -> Tensor:
        x, weight, bias = first

        def run(z: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
            out: Tensor = func(z, w, b, *rest, **more)
            return out

        rule = self.rule if func in self.RULED else "epsilon"
        out: Tensor = _Layer.apply(x, weight, bias, run, rule, self.epsilon)
        self._linear = (out, (x, weight, bias, run, rule))
        return out

    def _normalised(
        self, z: Tensor, mean: Tensor | None, var: Tensor | None, weight: Tensor | None = None,
        bias: Tensor | None = None, training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
    ) -> Tensor:  # fmt: skip
        if training or mean is None or var is None:
            raise CallError("relevance has no rule for the statistics of a batch", hint="model.eval()")
        scale = (var + eps).rsqrt() * (1.0 if weight is None else weight)
        shift = (0.0 if bias is None else bias) - mean * scale
        if self._linear is not None and self._linear[0] is z:
            x, w, b, run, rule = self._linear[1]
            wide = w * scale.view(-1, *(1,) * (w.ndim - 1))
            out: Tensor = _Layer.apply(x, wide, shift if b is None else shift + b * scale, run, rule, self.epsilon)
            return out
        shape = (1, -1, *(1,) * (z.ndim - 2))
        return _Passed.apply(z, lambda given: given * scale.view(shape) + shift.view(shape))


def _bound(args: tuple[Any, ...], kwargs: dict[str, Any], names: tuple[str, ...]) -> tuple[Any, ...]:
    """The first three arguments, however they were given; the other positional ones; the other named ones."""
    first = [*args[:3], *(kwargs.get(name) for name in names[len(args) :])]
    return tuple(first), args[3:], {k: v for k, v in kwargs.items() if k not in names}


def _layer_norm(z: Tensor, shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Tensor:
    """Its spread is held fixed, so that it is linear."""
    axes = tuple(range(-len(shape), 0))
    centred = z - z.mean(axes, keepdim=True)
    out = centred * (z.detach().var(axes, correction=0, keepdim=True) + eps).rsqrt()
    out = out if weight is None else out * weight
    return out if bias is None else out + bias


class _Layer(torch.autograd.Function):
    """z = w x + b. epsilon: R_x = x w^T R / (z + epsilon sign z). zplus: only contributions above zero count."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, run: Callable[..., Tensor], rule: Rule, epsilon: float
    ) -> Tensor:
        out = run(x, weight, bias)
        ctx.save_for_backward(x, weight)
        ctx.how = run, rule, epsilon, out.clone()  # what follows may write in place
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        run, rule, epsilon, out = ctx.how
        relevance = grad * out
        with torch.enable_grad(), torch._C.DisableTorchFunction():
            if rule == "epsilon":
                leaf = x.detach().requires_grad_()
                share = relevance / (out + epsilon * torch.where(out < 0, -1.0, 1.0).to(out))
                (back,) = torch.autograd.grad(run(leaf, weight), leaf, torch.where(out == 0, grad, share))
                return back, None, None, None, None, None
            above, below = (half.detach().requires_grad_() for half in (x.clamp_min(0), x.clamp_max(0)))
            positive = run(above, weight.clamp_min(0)) + run(below, weight.clamp_max(0))
            share = torch.where(positive > 0, relevance / (positive + epsilon), torch.zeros_like(out))
            of_above, of_below = torch.autograd.grad(positive, (above, below), share)
        return torch.where(x >= 0, of_above, of_below), None, None, None, None, None


class _Passed(torch.autograd.Function):
    """y = phi(z) hands all its relevance on: c_z = c_y y / z, the derivative where z is 0."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
        out = run(z.detach())
        ctx.save_for_backward(z)
        ctx.out = out.clone()
        return out.clone() if out is z else out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (z,), out = ctx.saved_tensors, ctx.out
        return torch.where(z == 0, torch.zeros_like(z), grad * out / torch.where(z == 0, torch.ones_like(z), z)), None


def relevance(score: Scorer, x: Tensor, rule: Rule, epsilon: float) -> Tensor:
    """Relevance of each channel of each pixel, `[B, C, ...]`."""
    if rule not in ("zplus", "epsilon") or not (math.isfinite(epsilon) and epsilon >= 0):
        raise CallError(f"rule {rule!r} with epsilon {epsilon}", hint="rule='zplus' or 'epsilon', epsilon=1e-6")
    score.value  # noqa: B018  the target is found before rules are on
    with Relevance(rule, epsilon, score.on.mechanisms.opens):
        return x * score.slope(x)
