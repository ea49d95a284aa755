"""`Target`: what a map explains: a class, a contrast, a group, an embedding to match, or any number of the output."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError, MethodError
from regard.subjects.token import Token, words_of

Goal = int | str | tuple[int | str, ...] | Callable[[Any], Tensor] | Tensor | Token | None
EMBEDDINGS = ("image_embeds", "pooler_output", "embedding", "features")
HINT = "an index or name, 'a vs b', a tuple of classes, an embedding [D], a Token, or a function of the model's output"


@dataclass(frozen=True)
class Target:
    """A class index for each picture of a batch, and what to call it.

    score: where it is no single class (index is empty then), the function of the model's output that is explained.
    """

    index: tuple[int, ...]
    label: str
    score: Callable[[Any], Tensor] | None = None

    def pick(self, logits: Float[Tensor, "b c"]) -> Float[Tensor, " b"]:
        """The target's column; a batch that is a multiple of the pictures repeats them in order."""
        if not self.index:
            raise MethodError(
                f"'{self.label}' is no single class, which is asked for here", hint="target=INDEX or NAME"
            )
        index = torch.tensor(self.index, device=logits.device)
        return logits.gather(1, index.repeat(logits.shape[0] // len(self.index))[:, None])[:, 0]

    def of(self, output: Any) -> Float[Tensor, " b"]:
        """The explained score of each picture, out of whatever the model returned for them."""
        scores = self.pick(logits_of(output)) if self.score is None else self.score(output)
        if not isinstance(scores, Tensor) or scores.ndim != 1:
            came = list(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
            raise LayoutError(f"the target {self.label} gives {came}, not one number a picture", hint="a tensor [B]")
        return scores


def _scores_in(output: Any) -> Any:
    """A tensor itself, `.logits`, `["logits"]`, or a tuple's first."""
    if isinstance(output, Mapping):
        return output.get("logits", output.get("out"))
    if hasattr(output, "logits"):
        return output.logits
    return output[0] if isinstance(output, tuple) and output else output


def logits_of(output: Any) -> Float[Tensor, "b c"]:
    """The class scores in whatever a model returns."""
    output = _scores_in(output)
    if not isinstance(output, Tensor) or output.ndim != 2:
        came = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise LayoutError(
            f"the model returns {came}, not class scores [B, classes]",
            hint="target=lambda output: ... (a number a picture), regard.Token(ID) of a language model, wrap it in a "
            "module that returns them, or use a method without a target",
        )
    return output


def embedding_of(output: Any) -> Float[Tensor, "b d"]:
    """The embedding in whatever a model returns: `.image_embeds`, `.pooler_output`, ..., else as class scores."""
    for name in EMBEDDINGS:
        found = output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)
        if isinstance(found, Tensor) and found.ndim == 2:
            return found
    return logits_of(output)


def choose(goal: Any, output: Any, classes: Sequence[str]) -> Target:
    """Resolve a goal against what the model returned for the pictures.

    None: the model's first choice for each picture. int, str: a class. "a vs b": the difference of their logits;
    either side may be a group, "a or b". tuple: a group, log sum exp of its classes' logits. Tensor `[D]` or `[B, D]`:
    cosine of the model's embedding with it. A Token: its score at a position of `[B, T, V]`. A function: what it
    makes of the output, `[B]`.
    """
    if isinstance(goal, Token):
        found = goal.found(words_of(output, _scores_in(output)))
        return Target((), goal.label, lambda output: found(words_of(output, _scores_in(output))))
    if isinstance(goal, Tensor):
        return _matching(goal, embedding_of(output))
    if callable(goal):
        return Target((), getattr(goal, "__name__", "function").replace("<lambda>", "function of the output"), goal)
    logits = logits_of(output)
    if goal is None:
        index = tuple(logits.argmax(1).tolist())
        return Target(index, ", ".join(dict.fromkeys(label(i, classes) for i in index)))
    sides = [_group(side, logits.shape[1], classes) for side in _sides(goal, classes)]
    if len(sides) == 1 and len(sides[0]) == 1:
        return Target((sides[0][0],) * logits.shape[0], label(sides[0][0], classes))
    told = " vs ".join(" or ".join(label(i, classes) for i in side) for side in sides)

    def score(output: Any) -> Tensor:
        first, *against = (logits_of(output)[:, side].logsumexp(1) for side in sides)
        return first - against[0] if against else first

    return Target((), told, score)


def _sides(goal: Any, classes: Sequence[str]) -> list[Any]:
    """A goal as one side, or the two of a contrast; a class of that very name goes first."""
    if isinstance(goal, str) and not _is_name(goal, classes):
        sides = re.split(r"(?:^|\s+)vs\.?(?:\s+|$)", goal)
        if len(sides) > 2:
            raise MethodError(f"'{goal}' contrasts {len(sides)} things", hint="'husky vs wolf': two")
        groups = [tuple(re.split(r"(?:^|\s+)or(?:\s+|$)", side)) for side in sides]
        if goal.strip() and not all(name.strip() for group in groups for name in group):
            raise MethodError(
                f"'{goal}' is half a target: a name is missing", hint="'husky vs wolf', 'husky or malamute'"
            )
        return groups
    return [goal]


def _is_name(goal: str, classes: Sequence[str]) -> bool:
    return any(goal.casefold() == part.strip().casefold() for name in classes for part in (*name.split(","), name))


def _group(side: Any, count: int, classes: Sequence[str]) -> list[int]:
    """Class indices of one side."""
    some = side if isinstance(side, tuple) else (side,)
    if not some:
        raise MethodError("a group of no classes", hint="target=('husky', 'malamute')")
    return list(dict.fromkeys(_index(one, count, classes) for one in some))


def _index(goal: Any, count: int, classes: Sequence[str]) -> int:
    if isinstance(goal, bool) or not isinstance(goal, int | str):
        raise MethodError(f"a target is no {type(goal).__name__} {goal!r}: got {type(goal).__name__}", hint=HINT)
    index = by_name(goal, classes) if isinstance(goal, str) else goal
    if not 0 <= index < count:
        raise MethodError(f"no class {index}: the model has {count}", hint=f"0 .. {count - 1}")
    return index


def _matching(wanted: Tensor, made: Float[Tensor, "b d"]) -> Target:
    if wanted.ndim not in (1, 2) or wanted.shape[-1] != made.shape[1] or wanted.shape[:-1] not in ((), made.shape[:1]):
        raise MethodError(
            f"an embedding {list(wanted.shape)} to match, and the model's are {list(made.shape)}",
            hint=f"[{made.shape[1]}] for all pictures, or one each",
        )
    wanted = wanted.detach().view(-1, made.shape[1])

    def cosine(output: Any) -> Tensor:
        one = embedding_of(output)
        return F.cosine_similarity(one, wanted.to(one).repeat(len(one) // len(wanted), 1), dim=1)

    return Target((), "cosine with an embedding", cosine)


def by_name(goal: str, classes: Sequence[str]) -> int:
    """The class with this name, letter case aside, else with this number, else the only one whose name contains it."""
    wanted = goal.strip().casefold()
    if not wanted:
        raise MethodError("the target is an empty text", hint=HINT)
    exact = [i for i, name in enumerate(classes) if wanted in {part.strip().casefold() for part in name.split(",")}]
    inside = [i for i, name in enumerate(classes) if wanted in name.casefold()]
    if not exact and re.fullmatch(r"-?\d+", wanted):
        return int(wanted)
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
