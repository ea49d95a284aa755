"""`Target`: which output of a model is explained, by index, by name, or the model's own first choice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError, MethodError

Goal = int | str | None


@dataclass(frozen=True)
class Target:
    """A class index for each picture of a batch, and what to call it."""

    index: tuple[int, ...]
    label: str

    def pick(self, logits: Float[Tensor, "b c"]) -> Float[Tensor, " b"]:
        """The target's column; a batch that is a multiple of the pictures repeats them in order."""
        index = torch.tensor(self.index, device=logits.device)
        return logits.gather(1, index.repeat(logits.shape[0] // len(self.index))[:, None])[:, 0]


def logits_of(output: Any) -> Float[Tensor, "b c"]:
    """The class scores in whatever a model returns: a tensor, `.logits`, `["logits"]`, or a tuple's first."""
    if isinstance(output, Mapping):
        output = output.get("logits", output.get("out"))
    elif hasattr(output, "logits"):
        output = output.logits
    elif isinstance(output, tuple) and output:
        output = output[0]
    if not isinstance(output, Tensor) or output.ndim != 2:
        came = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise LayoutError(
            f"the model returns {came}, not class scores [B, classes]",
            hint="wrap it in a module that returns them, or use a method without a target (regard list explainers)",
        )
    return output


def choose(goal: object, logits: Float[Tensor, "b c"], classes: Sequence[str]) -> Target:
    """Resolve a goal against the model's own scores; None is its first choice for each picture."""
    count = logits.shape[1]
    if goal is not None and (isinstance(goal, bool) or not isinstance(goal, int | str)):
        raise MethodError(
            f"a target is a class's index or name, got {type(goal).__name__} {goal!r}",
            hint="one target for all pictures of a batch; explain x[i:i+1] for a target each",
        )
    if goal is None:
        index = tuple(logits.argmax(1).tolist())
        return Target(index, ", ".join(dict.fromkeys(label(i, classes) for i in index)))
    if isinstance(goal, str):
        found = by_name(goal, classes)
    elif -count <= goal < count:
        found = goal % count
    else:
        raise MethodError(f"no class {goal}: the model has {count}", hint=f"0 .. {count - 1}")
    return Target((found,) * logits.shape[0], label(found, classes))


def by_name(goal: str, classes: Sequence[str]) -> int:
    """The class with this name, or the only one whose name contains it, letter case aside."""
    if goal.isdigit() and not classes:
        return int(goal)
    wanted = goal.casefold()
    exact = [i for i, name in enumerate(classes) if wanted in {part.strip().casefold() for part in name.split(",")}]
    inside = [i for i, name in enumerate(classes) if wanted in name.casefold()]
    for found in (exact, inside):
        if len(found) == 1:
            return found[0]
    if len(inside) > 1:
        whole = [i for i in inside if wanted in classes[i].casefold().replace(",", "").split()]
        likely = [*whole, *(i for i in inside if i not in whole)][:4]
        some = ", ".join(f"'{classes[i]}' ({i})" for i in likely)
        raise MethodError(f"'{goal}' names {len(inside)} classes", hint=f"one of {some}, or its index")
    names = [part.strip() for name in classes for part in name.split(",")]
    raise MethodError.unknown("class", goal, names, see="its index")


def label(index: int, classes: Sequence[str]) -> str:
    """First of a class's names, or its number."""
    return classes[index].split(",")[0] if index < len(classes) else f"class {index}"
