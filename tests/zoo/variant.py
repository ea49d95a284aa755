"""What the zoo's tables are made of: a variant builds a small random model, and says what must be seen in it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

Forward = Callable[[], Any]
Build = Callable[[], tuple[nn.Module, Forward]]


@dataclass(frozen=True)
class Variant:
    """A model, one forward of it on fixed inputs, and the facts about its attention, each counted in its source.

    calls: attention calls of one forward. told: `record.not_covered`, exactly. gap: attention ops that torch
    dispatches beyond the calls and the softmaxes told of. why: the reason of anything told, of a gap, or of no
    attention. fast: torch has a kernel that the mode switches off, so the outputs agree to rounding only. mixed:
    heads are mixed after the softmax, so the weights that meet the values are no distributions.
    """

    build: Build
    calls: int
    told: Mapping[str, int] = field(default_factory=dict)
    gap: int = 0
    why: str = ""
    fast: bool = False
    mixed: bool = False

    def __post_init__(self) -> None:
        if (self.told or self.gap or not self.calls) and not self.why:
            raise ValueError("an exception needs its reason")

    def __call__(self) -> tuple[nn.Module, Forward]:
        """The model in eval mode and its forward; neither moves the global random state."""
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # third parties' deprecations are not this test's matter
            torch.manual_seed(0)
            model, forward = self.build()
            stir(model.eval())
        return model, partial(quietly, forward)


def quietly(forward: Forward) -> Any:
    """One forward; models that draw noise of their own draw the same each time, and leave no trace."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", module=r"regard\.")  # but what regard does beside it is
        torch.manual_seed(0)
        return forward()


@torch.no_grad()
def stir(model: nn.Module) -> None:
    """Weights that make uneven attention: initial values are often zero, or so small that every softmax is flat."""
    seen: set[int] = set()
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in seen or not parameter.is_floating_point():
                continue
            seen.add(id(parameter))
            if parameter.ndim > 1 and name == "weight":
                nn.init.normal_(parameter, std=(parameter.numel() / parameter.shape[0]) ** -0.5)
            else:
                parameter += 0.1 * torch.randn_like(parameter)


def noise(*shape: int) -> Tensor:
    """A fixed input."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def tokens(*shape: int, below: int) -> Tensor:
    """Fixed token numbers, from 3 up: the smallest are often special."""
    return torch.randint(3, below, shape, generator=torch.Generator().manual_seed(below))


def tensors(output: Any) -> list[Tensor]:
    """All tensors of a nested output, in order."""
    if isinstance(output, Tensor):
        return [output]
    if isinstance(output, Mapping):
        return [t for value in output.values() for t in tensors(value)]
    if isinstance(output, list | tuple):
        return [t for value in output for t in tensors(value)]
    return [t for value in vars(output).values() for t in tensors(value)] if hasattr(output, "__dict__") else []


def each(sites: list[str], what: str) -> dict[str, int]:
    """What is told of several sites, once each."""
    return {f"{site}: {what}": 1 for site in sites}
