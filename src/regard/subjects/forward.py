"""`Subject`: a model and pictures, with how to see into it; `Forward`: pictures to one target's probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from regard.core.intercept import Mechanisms
from regard.subjects.target import Goal, choose, logits_of


@dataclass(frozen=True)
class Subject:
    """What a method is run on: a model, pictures, how the model computes attention, what its outputs are called."""

    model: nn.Module
    x: Float[Tensor, "b c H W"]
    mechanisms: Mechanisms
    classes: Sequence[str] = ()


class Forward:
    """Pictures to the target's probability, counting the pictures that went through."""

    def __init__(self, on: Subject, goal: Goal) -> None:
        self.model = on.model
        self.count = on.x.shape[0]
        with torch.no_grad():
            self.logits = logits_of(on.model(on.x))
        self.target = choose(goal, self.logits, on.classes)

    def __call__(self, pictures: Float[Tensor, "n c H W"]) -> Float[Tensor, " n"]:
        self.count += pictures.shape[0]
        with torch.no_grad():
            return self.target.pick(logits_of(self.model(pictures)).softmax(1))

    @property
    def whole(self) -> float:
        """The first picture's own probability."""
        return float(self.target.pick(self.logits.softmax(1))[0])
