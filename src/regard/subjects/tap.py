"""`tap`: the output (or input) of one module as a map of channels, with the gradient of a score at it.

The first tapped tensor is passed on with the same values but cut off from what came before, so the backward
pass ends there: it costs what the layers above cost, and no parameter collects a gradient.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.core.scope import Mechanisms, addresses
from regard.core.select import matcher, no_match
from regard.core.watch import Watch
from regard.errors import CallError
from regard.layout import Grid
from regard.subjects.forward import frozen

INPUT = "input of "
EARLY = 0.25  # of the modules that run: a map before these is a stem's, not the model's


@dataclass(frozen=True)
class Activations:
    """What a layer gives, on a grid."""

    values: Float[Tensor, "b c h w"]
    grid: Grid
    place: Place

    @property
    def address(self) -> str:
        return str(self.place)


@dataclass(frozen=True)
class Layer(Activations):
    """Activations of a layer, and the gradient of the explained score at them."""

    gradient: Float[Tensor, "b c h w"]


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

    With attention on a grid: what enters the last attention (behind its block a CLS head gives patches no gradient),
    as the normalisation before it gives it, if there is one: before that, x . dy/dx is 0 at every patch whatever the
    picture, for the length of a token is then of no account. Else the last module whose output is the picture made
    smaller, `[B, C, h, w]` or `[B, h, w, C]`, unless that is near the input and most of the model comes after it.
    """
    spatial, ran, on_grid = _survey(model, mechanisms, x)
    if on_grid:
        return on_grid[-1]
    if not spatial or spatial[-1].at < EARLY * ran:
        where = f" after '{spatial[-1].place}', near its input," if spatial else ""
        raise CallError(
            f"no layer of this model{where} has an output [B, C, h, w] or attention on a grid",
            hint="give the layer yourself: site='features.7'",
        )
    return spatial[-1].place


def auto_places(model: nn.Module, mechanisms: Mechanisms, x: Tensor) -> list[Place]:
    """The places at which a model can be read in depth, the first first.

    With attention on a grid: what enters each attention (see `auto_place`). Else the last module of each size of map.
    """
    spatial, _, on_grid = _survey(model, mechanisms, x)
    stages: dict[tuple[int, ...], Place] = {}
    for one in spatial:
        if all(math.prod(one.size) <= math.prod(size) for size in stages):  # else it may be an attention matrix
            stages[one.size] = one.place
    if not on_grid and not stages:
        raise CallError(
            "no layer of this model has an output [B, C, h, w] or attention on a grid",
            hint="give the layers yourself: site='features.{3,5,7}'",
        )
    return list(dict.fromkeys(on_grid)) or list(stages.values())


@dataclass(frozen=True)
class _Spatial:
    """A place whose output is a map of some size, and how many modules had run by then."""

    place: Place
    size: tuple[int, ...]
    at: int


def _survey(model: nn.Module, mechanisms: Mechanisms, x: Tensor) -> tuple[list[_Spatial], int, list[Place]]:
    """One forward: maps in the order in which they were made, how many modules ran, what enters attention on a grid."""
    spatial: list[_Spatial] = []
    names = addresses(model)
    made: dict[int, tuple[weakref.ref[Tensor], str]] = {}  # by whom a tensor was made, while it lives
    entered: dict[str, str] = {}  # the module that made the first argument of another
    ran = 0

    def note(module: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        nonlocal ran
        ran += not any(True for _ in module.children())
        first = next((a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)), None)
        source = made.get(id(first))
        if source is not None and source[0]() is first:
            entered[names[id(module)]] = source[1]
        if isinstance(out, Tensor) and out is not first:
            made[id(out)] = (weakref.ref(out), names[id(module)])
        last = channels_last(out, x)
        if last is not None:
            size = tuple(out.shape[1:3] if last else out.shape[2:])
            spatial.append(_Spatial(Place(names[id(module)], at_input=False), size, ran))

    with ExitStack() as stack:
        for module in model.modules():
            stack.callback(module.register_forward_hook(note, with_kwargs=True).remove)
        with torch.no_grad(), Watch(model, mechanisms, "*", ()) as record:
            model(x)
    places = []
    for reading in record:
        source = entered.get(reading.site, "")
        if reading.grid is not None:
            at_norm = bool(source) and "norm" in type(find_module(model, source)).__name__.lower()
            block = block_of(reading.site)
            places.append(Place(source if at_norm else block, at_input=not at_norm, grid=reading.grid))
    return spatial, ran, places


def places_at(sites: str, model: nn.Module, mechanisms: Mechanisms, x: Tensor) -> list[Place]:
    """The places that a selection names, `layer{2..4}`, in the model's own order."""
    match = matcher(sites.removeprefix(INPUT))
    chosen = [name for name in addresses(model).values() if match(name)]
    if not chosen:
        raise no_match(sites, addresses(model).values())
    at_input = sites.startswith(INPUT)
    return [Place(name, at_input, _grid(model, mechanisms, x)) for name in dict.fromkeys(chosen)]


def _grid(model: nn.Module, mechanisms: Mechanisms, x: Tensor) -> Grid | None:
    """The grid of the model's tokens, if any."""
    with torch.no_grad(), Watch(model, mechanisms, "*", ()) as record:
        model(x)
    return next((r.grid for r in reversed(record.readings) if r.grid is not None), None)


def place_at(site: str, model: nn.Module, mechanisms: Mechanisms, x: Tensor) -> Place:
    """A place that the user names, `blocks.7` or `input of blocks.7`, with the grid of the model's tokens, if any."""
    at_input = site.startswith(INPUT)
    address = site.removeprefix(INPUT)
    find_module(model, address)
    return Place(address, at_input, _grid(model, mechanisms, x))


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
    """The block around an attention module, `blocks.11` for `blocks.11.attn`: up to the last number in its address."""
    parts = site.split(".")
    numbered = [i for i, part in enumerate(parts[:-1]) if part[-1:].isdigit()]
    return ".".join(parts[: numbered[-1] + 1]) if numbered else site.rpartition(".")[0] or site


def tap(model: nn.Module, x: Tensor, place: Place, score: Callable[[Any], Tensor]) -> tuple[Layer, Any]:
    """Run `model(x)` once, differentiate `score(output).sum()` at the place; give the layer and the output."""
    (layer,), output = taps(model, x, [place], score)
    return layer, output


def taps(
    model: nn.Module, x: Tensor, places: Sequence[Place], score: Callable[[Any], Tensor]
) -> tuple[list[Layer], Any]:
    """As `tap`, at several places in one run."""
    caught: dict[Place, Tensor] = {}

    def catch(place: Place) -> Callable[[Tensor], Tensor]:
        def change(value: Tensor) -> Tensor:
            caught[place] = value if value.requires_grad else value.detach().requires_grad_()
            return caught[place].clone()  # what follows may write in place

        return change

    with ExitStack() as stack:
        for place in places:
            stack.enter_context(changed(model, place, catch(place)))
        stack.enter_context(frozen(model))
        output = model(x)
        gradients = torch.autograd.grad(score(output).sum(), list(caught.values()), allow_unused=True)
    layers = []
    for (place, value), gradient in zip(caught.items(), gradients, strict=True):
        slope = torch.zeros_like(value) if gradient is None else gradient
        values, slope = (_as_map(t, place, x) for t in (value.detach(), slope))
        layers.append(Layer(values, _grid_of(values, place), place, slope))
    return layers, output


def activations(model: nn.Module, x: Tensor, places: Sequence[Place]) -> tuple[list[Activations], Any]:
    """What flows at some places in one run without a graph, and the output."""
    caught: dict[Place, Tensor] = {}

    def catch(place: Place) -> Callable[[Tensor], Tensor]:
        def change(value: Tensor) -> Tensor:
            caught[place] = value.clone()  # what follows may write in place
            return value

        return change

    with ExitStack() as stack:
        for place in places:
            stack.enter_context(changed(model, place, catch(place)))
        stack.enter_context(torch.no_grad())
        output = model(x)
    maps = [(_as_map(value, place, x), place) for place, value in caught.items()]
    return [Activations(values, _grid_of(values, place), place) for values, place in maps], output


def _grid_of(values: Tensor, place: Place) -> Grid:
    return Grid(values.shape[-2], values.shape[-1], place.grid.prefix if place.grid else 0)


@contextmanager
def changed(model: nn.Module, place: Place, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """While the block runs, what flows at a place is what `change` makes of it."""
    module = find_module(model, place.address)

    def at_input(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (change(args[0]), *args[1:])

    def at_output(_: nn.Module, __: Any, out: Any) -> Any:
        return (change(out[0]), *out[1:]) if isinstance(out, tuple) else change(out)

    hook = module.register_forward_pre_hook(at_input) if place.at_input else module.register_forward_hook(at_output)
    try:
        yield
    finally:
        hook.remove()


def put(values: Float[Tensor, "n c h w"], running: Tensor, place: Place) -> Tensor:
    """A map of channels in the layout of what runs at a place, in memory too; a prefix stays as it runs."""
    if running.ndim == 4:
        laid = values if running.shape[1:] == values.shape[1:] else values.permute(0, 2, 3, 1)
        return torch.empty_like(running).copy_(laid)
    assert place.grid is not None
    tokens = values.flatten(2).transpose(1, 2)
    return torch.cat([running[:, : place.grid.prefix], tokens], dim=1)


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
