"""`class_image`: the picture that a class looks like to a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.errors import DegenerateError, LayoutError
from regard.progress import track
from regard.subjects.forward import UNSEEN, Subject
from regard.subjects.scorer import Scorer
from regard.subjects.target import Goal


@dataclass(frozen=True)
class ClassImage:
    """The picture, on the scale that the model takes, and what it scored before each step and at the end."""

    picture: Float[Tensor, "b c h w"]
    scores: Float[Tensor, "steps b"]
    target: str


def class_image(
    model: nn.Module, start: Float[Tensor, "b c h w"], target: Goal, *, steps: int = 200, rate: float = 1.0,
    decay: float = 0.01, classes: Sequence[str] = (),
) -> ClassImage:  # fmt: skip
    """Ascend f(x) - decay |x|^2 by plain gradient steps from `start`: the mean picture, zeros where pictures are
    normalised by their mean.

    x <- x + rate (df/dx - 2 decay x). f is the logit, not the probability, which could rise by other classes' falling.
    Of a linear f = w x + b the end is w / (2 decay), for a rate below 1 / (2 decay). Pictures share nothing: each of a
    batch goes its own way. classes: their names, where `target` is one (`regard.models.facts.facts_of(model).classes`).
    One forward and backward a step; no smoothing, no jitter, as in the paper.

    Our decay: lambda. Raises LayoutError for options without a sense, DegenerateError where the steps grow beyond all
    bounds and where nothing moves.
    Source: Simonyan, Vedaldi and Zisserman 2014, "Deep Inside Convolutional Networks", section 2.

    >>> import torch
    >>> from regard.subjects.class_image import class_image
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
    >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, 2, 3, 4], [0, 0, 0, 0]]))
    >>> class_image(model, torch.zeros(1, 1, 2, 2), 0, decay=0.5, rate=0.5).picture.flatten().tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    if steps < 1 or not (0 < rate < math.inf) or not (0 <= decay < math.inf) or 2 * decay * rate >= 2:
        raise LayoutError(
            f"{steps} steps at rate {rate} with decay {decay}",
            hint="steps=200, rate=1, decay=0.01, their product below 1",
        )
    score = Scorer(Subject(model, start, UNSEEN, classes), target)
    x, scores = start.clone(), [score.value]
    for _ in track(range(steps), "steps"):
        x = x + rate * (score.slope(x) - 2 * decay * x)
        if not torch.isfinite(x).all():
            raise DegenerateError("the picture has grown beyond all bounds", hint=f"a rate below {rate}, more decay")
        scores.append(score(x))
    if torch.equal(x, start):
        raise score.why_zero()
    return ClassImage(x, torch.stack(scores), score.target.label)
