"""A network's output as x . dy/dx plus what every bias adds: explicit ones, and those that non-linearities imply.

A module with input z and output f(z) has the implicit bias f(z) - J(z) z: the bias of a linear layer, beta - gamma mu /
sigma of a batch normalisation, 6 where ReLU6 is clipped, 0 for ReLU. Attention is one such module. Parameters that no
such module owns (position embeddings, class tokens) are taken as added somewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.core.scope import addresses
from regard.subjects.forward import frozen
from regard.subjects.scorer import Scorer

HOMOGENEOUS = (
    nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.Identity, nn.Flatten, nn.Unflatten, nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d,
    nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.Dropout, nn.Dropout2d,
)  # fmt: skip
LINEAR = (nn.Linear, nn.modules.conv._ConvNd)
WHOLE = (*LINEAR, nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)  # also with children: timm's BatchNormAct


@dataclass
class Unit:
    """One call of a module: what went in and what came out."""

    module: nn.Module
    given: tuple[Tensor, ...]
    out: Tensor


@dataclass
class Biases:
    """The gradient at the input, each unit's bias times the gradient there, and the same of the other parameters."""

    gradient: Float[Tensor, "b ..."]
    units: list[Tensor] = field(default_factory=list)
    others: Float[Tensor, " b"] | None = None


def biases(score: Scorer, x: Float[Tensor, "b ..."]) -> Biases:
    """One forward, one backward, and one derivative of each module that is neither linear nor homogeneous."""
    sites = {reading.site for reading in score.watch(()).readings}
    modules = list(_units(score.on.model, sites))
    loose = _loose(score.on.model, modules)
    calls: list[Unit] = []
    with ExitStack() as stack:
        stack.enter_context(frozen(score.on.model))
        for parameter in loose:
            parameter.requires_grad_(True)
            stack.callback(parameter.requires_grad_, False)
        for module in modules:
            given: list[tuple[Tensor, ...]] = []
            stack.callback(module.register_forward_pre_hook(partial(_note_input, given)).remove)
            stack.callback(module.register_forward_hook(partial(_note_output, given, calls)).remove)
        leaf = x.detach().clone().requires_grad_()
        scores = score.run(leaf)
        slopes = torch.autograd.grad(
            scores.sum(), [leaf, *(c.out for c in calls)], retain_graph=bool(loose), allow_unused=True
        )
        if slopes[0] is None or not slopes[0].any():
            raise score.why_zero()
        made = Biases(slopes[0])
        if loose:
            made.others = torch.stack([_added(one, loose) for one in scores])
    for call, slope in zip(calls, slopes[1:], strict=True):
        if slope is not None:
            made.units.append(slope * _implicit_bias(call))
    return made


def _units(model: nn.Module, sites: set[str]) -> Iterator[nn.Module]:
    """Modules that attend or normalise, as a whole, and leaves outside of them that are not homogeneous."""
    names = addresses(model)
    inside: set[int] = set()
    for module in model.modules():
        if id(module) in inside:
            continue
        children = list(module.modules())[1:]
        whole = names[id(module)] in sites or isinstance(module, WHOLE)
        if whole:
            inside |= {id(child) for child in children}
        if whole or not (children or isinstance(module, HOMOGENEOUS)):
            yield module


def _loose(model: nn.Module, units: list[nn.Module]) -> list[nn.Parameter]:
    owned = {id(p) for unit in units for p in unit.parameters()}
    return [p for p in model.parameters() if id(p) not in owned and p.is_floating_point()]


def _note_input(given: list[tuple[Tensor, ...]], module: nn.Module, args: tuple[Any, ...]) -> None:
    """Inputs are copied where the module writes over them."""
    tensors = tuple(a for a in args if isinstance(a, Tensor))
    given.append(tuple(t.detach().clone() if getattr(module, "inplace", False) else t.detach() for t in tensors))


def _note_output(given: list[tuple[Tensor, ...]], calls: list[Unit], module: nn.Module, _: Any, out: Any) -> Any:
    inputs = given.pop()
    first = out[0] if isinstance(out, tuple) else out
    if not isinstance(first, Tensor) or not first.requires_grad or not inputs:
        return out
    calls.append(Unit(module, inputs, first))
    passed = first.clone()  # what follows may write in place
    return (passed, *out[1:]) if isinstance(out, tuple) else passed


def _implicit_bias(call: Unit) -> Tensor:
    """f(z) - J(z) z; fused attention has no second derivative, its plain form does."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    if isinstance(call.module, LINEAR):
        bias = call.module.bias
        if bias is None:
            return torch.zeros_like(call.out)
        channels = 1 if isinstance(call.module, nn.modules.conv._ConvNd) else -1
        shape = [1] * call.out.ndim
        shape[channels] = -1
        return bias.detach().view(shape)
    given = tuple(z.clone().requires_grad_() for z in call.given)
    with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH):
        made = call.module.forward(*(z.clone() for z in given))  # past our hooks; it may write in place
        out = made[0] if isinstance(made, tuple) else made
        along = torch.ones_like(out, requires_grad=True)
        back = torch.autograd.grad(out, given, along, create_graph=True, allow_unused=True)
        inner = torch.stack([(g * z.detach()).sum() for g, z in zip(back, given, strict=True) if g is not None]).sum()
        (forth,) = torch.autograd.grad(inner, along)  # J z, as the derivative of <J' u, z> by u
    return (out - forth).detach()


def _added(score: Tensor, loose: list[nn.Parameter]) -> Tensor:
    slopes = torch.autograd.grad(score, loose, retain_graph=True, allow_unused=True)
    parts = [(p.detach() * s).sum() for p, s in zip(loose, slopes, strict=True) if s is not None]
    return torch.stack(parts).sum() if parts else torch.zeros_like(score.detach())
