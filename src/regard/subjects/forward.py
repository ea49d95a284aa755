"""`Subject`: a model and pictures, with how to see into it; `Forward`: pictures to one target's probability."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from regard.core.scope import Mechanisms
from regard.errors import LayoutError
from regard.subjects.baseline import UNKNOWN, Span
from regard.subjects.target import Goal, choose, logits_of

UNSEEN = Mechanisms({}, {}, lambda *_: None, lambda *_: None)  # of a model that is run and not looked into


@dataclass(frozen=True)
class Subject:
    """What a method is run on: a model, pictures, how the model computes attention, what its outputs are called.

    span: black and white as the model takes them.
    """

    model: nn.Module
    x: Shaped[Tensor, "b ..."]
    mechanisms: Mechanisms
    classes: Sequence[str] = ()
    span: Span = UNKNOWN


def check_model(model: object) -> nn.Module:
    """Refuse a name, path or function in a model's place."""
    if not isinstance(model, nn.Module):
        hint = f"regard.model({model!r})" if isinstance(model, str) else "any nn.Module, or regard.model(name)"
        raise LayoutError(f"a model is an nn.Module, got {type(model).__name__}", hint=hint)
    return model


def check_pictures(model: object, x: object) -> None:
    """Refuse what a model would answer with a traceback: no module, no tensor, no batch axis, another type."""
    first = next(check_model(model).parameters(), None)
    if not isinstance(x, Tensor):
        raise LayoutError(
            f"pictures are a tensor [B, C, H, W], got {type(x).__name__}", hint="x = regard.image(path, like=model)"
        )
    if x.ndim == 3 and x.shape[0] in (1, 3):
        raise LayoutError(f"one picture {list(x.shape)} without a batch axis", hint="x[None]")
    if x.ndim and not len(x):
        raise LayoutError(f"no pictures: {list(x.shape)}", hint="a batch of at least one")
    if first is not None and x.ndim == 4 and not x.is_floating_point():
        raise LayoutError(f"pictures in {x.dtype}, the model in {first.dtype}", hint="regard.image(path, like=model)")
    if first is not None and x.is_floating_point() and x.dtype != first.dtype:
        raise LayoutError(f"pictures in {x.dtype}, the model in {first.dtype}", hint=f"x.to({first.dtype})")


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Put back what a forward in training mode moves: the statistics of batch normalisation, and other buffers."""
    training = any(module.training for module in model.modules())
    kept = [(buffer, buffer.clone()) for buffer in model.buffers()] if training else []
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, before in kept:
                buffer.copy_(before)


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """A graph that leads to the pictures only: no parameter asks for a gradient in the block, as before it after."""
    asking = [p for p in model.parameters() if p.requires_grad]
    try:
        with torch.inference_mode(False), torch.enable_grad():
            for parameter in asking:
                parameter.requires_grad_(False)
            yield
    finally:
        for parameter in asking:
            parameter.requires_grad_(True)


class Forward:
    """Pictures to the target's probability, counting the pictures that went through."""

    def __init__(self, on: Subject, goal: Goal) -> None:
        self.model = on.model
        self.count = on.x.shape[0]
        with torch.no_grad():
            output = on.model(on.x)
        self.logits = logits_of(output)
        self.target = choose(goal, output, on.classes)

    def __call__(self, pictures: Float[Tensor, "n ..."]) -> Float[Tensor, " n"]:
        self.count += pictures.shape[0]
        with torch.no_grad():
            return self.target.pick(logits_of(self.model(pictures)).softmax(1))

    @property
    def whole(self) -> float:
        """The first picture's own probability."""
        return float(self.target.pick(self.logits.softmax(1))[0])
