"""`tap`: the output (or input) of one module as a map of channels, with the gradient of a score at it.

The tapped tensor is passed on with the same values but cut off from what came before, so the backward
pass ends there: it costs what the layers above cost, and no parameter collects a gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.core.scope import Mechanisms, addresses
from regard.core.select import no_match
from regard.core.watch import Watch
from regard.errors import CallError
from regard.layout import Grid

INPUT = "input of "
EARLY = 0.25  # of the modules that run: a map before these is a stem's, not the model's


@dataclass(frozen=True)
class Layer:
    """Activations of a layer on a grid, and the gradient of the explained score at them."""

    values: Float[Tensor, "b c h w"]
    gradient: Float[Tensor, "b c h w"]
    grid: Grid
    address: str


@dataclass(frozen=True)
class Place:
    """Where to tap: a module, at its input or output, and the grid if what flows there are tokens."""

    address: str
    at_input: bool
    grid: Grid | None = None

    def __str__(self) -> str:
        return f"{INPUT}{self.address}" if self.at_input else self.address


def auto_place(model: nn.Module, mechanisms: Mechanisms, x: Tensor) -> Place:
    """The last place where the picture still has its shape.

    With attention on a grid: the input of the last block (behind it a CLS head gives patches no
    gradient). Else the last module whose output is the picture made smaller, `[B, C, h, w]` or
    `[B, h, w, C]`, unless that is near the input and most of the model comes after it.
    """
    spatial: list[tuple[Place, int]] = []
    names = addresses(model)
    ran = 0

    def note(module: nn.Module, _: Any, out: Any) -> None:
        nonlocal ran
        ran += not any(True for _ in module.children())
        if channels_last(out, x) is not None:
            spatial.append((Place(names[id(module)], at_input=False), ran))

    hooks = [m.register_forward_hook(note) for m in model.modules()]
    try:
        with torch.no_grad(), Watch(model, mechanisms, "*", ()) as record:
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    on_grid = [r for r in record if r.grid is not None]
    if on_grid:
        return Place(block_of(on_grid[-1].site), at_input=True, grid=on_grid[-1].grid)
    if not spatial or spatial[-1][1] < EARLY * ran:
        where = f" after '{spatial[-1][0]}', near its input," if spatial else ""
        raise CallError(
            f"no layer of this model{where} has an output [B, C, h, w] or attention on a grid",
            hint="give the layer yourself: site='features.7'",
        )
    return spatial[-1][0]


def place_at(site: str, model: nn.Module, mechanisms: Mechanisms, x: Tensor) -> Place:
    """A place that the user names, `blocks.7` or `input of blocks.7`, with the grid of the model's tokens, if any."""
    at_input = site.startswith(INPUT)
    address = site.removeprefix(INPUT)
    find_module(model, address)
    with torch.no_grad(), Watch(model, mechanisms, "*", ()) as record:
        model(x)
    grids = [r.grid for r in record if r.grid is not None]
    return Place(address, at_input, grids[-1] if grids else None)


def channels_last(out: Any, x: Tensor) -> bool | None:
    """Whether a layer's output is the picture made smaller, channels second (False) or last (True); None: neither.

    The sides must have shrunk alike, and not by a little: `[B, H, N, N]` may be an attention matrix.
    """
    if not isinstance(out, Tensor) or out.ndim != 4 or x.ndim != 4 or out.shape[0] != x.shape[0]:
        return None
    for last, (h, w) in ((False, out.shape[2:]), (True, out.shape[1:3])):
        down, across = x.shape[-2] / h, x.shape[-1] / w
        alike = max(down, across) <= 1.35 * min(down, across)
        if h * w > 1 and alike and (min(down, across) >= 1.5 or down == across == 1):
            return last
    return None


def block_of(site: str) -> str:
    """The module around an attention module: `blocks.11` for `blocks.11.attn`."""
    return site.rpartition(".")[0] or site


def tap(model: nn.Module, x: Tensor, place: Place, score: Callable[[Any], Tensor]) -> tuple[Layer, Any]:
    """Run `model(x)` once, differentiate `score(output).sum()` at the place; give the layer and the output."""
    module = find_module(model, place.address)
    caught: list[Tensor] = []

    def cut(value: Tensor) -> Tensor:
        caught.append(value.detach().requires_grad_())
        return caught[-1]

    def at_input(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (cut(args[0]), *args[1:])

    def at_output(_: nn.Module, __: Any, out: Any) -> Any:
        return (cut(out[0]), *out[1:]) if isinstance(out, tuple) else cut(out)

    hook = module.register_forward_pre_hook(at_input) if place.at_input else module.register_forward_hook(at_output)
    try:
        with torch.enable_grad():
            output = model(x)
            (gradient,) = torch.autograd.grad(score(output).sum(), caught[-1])
    finally:
        hook.remove()
    values, gradient = (_as_map(t, place, x) for t in (caught[-1].detach(), gradient))
    grid = Grid(values.shape[-2], values.shape[-1], place.grid.prefix if place.grid else 0)
    return Layer(values, gradient, grid, str(place)), output


def find_module(model: nn.Module, address: str) -> nn.Module:
    """The module at an address as `regard.sites` writes it."""
    names = addresses(model)
    for module in model.modules():
        if names[id(module)] == address:
            return module
    raise no_match(address, names.values())


def _as_map(value: Tensor, place: Place, x: Tensor) -> Tensor:
    if value.ndim == 4:
        return value.permute(0, 3, 1, 2) if channels_last(value, x) else value
    if place.grid is None or value.ndim != 3:
        raise CallError(
            f"the layer '{place}' gives {list(value.shape)}, which is no map of channels",
            hint="a layer with output [B, C, h, w] or [B, h, w, C], or a block of a ViT on a grid",
        )
    return place.grid.to_map(value.transpose(1, 2))
