"""Masks that are learnt: the score as a share, pictures blended with a baseline, a mask enlarged to the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import DegenerateError, LayoutError
from regard.progress import track
from regard.subjects.forward import frozen
from regard.subjects.scorer import Scorer


class Share:
    """`share(pictures)`: the score on a scale where the explained picture has 1 and its baseline 0, with its graph.

    Weights of areas then mean the same for every model and class. Raises DegenerateError where the baseline scores as
    high as the picture: there is nothing whose removal could lower it.
    """

    def __init__(self, score: Scorer, replaced: Float[Tensor, "b ..."]) -> None:
        self.score, self.base = score, score(replaced)
        self.span = score.value - self.base
        if bool((self.span <= 0).any()):
            raise DegenerateError(
                f"a picture without evidence scores {float(self.base.max()):.3g} for {score.target.label}, the picture "
                f"itself {float(score.value.min()):.3g}",
                hint="another baseline, or the class that the model sees",
            )

    def __call__(self, pictures: Float[Tensor, "n ..."]) -> Float[Tensor, " n"]:
        times = len(pictures) // len(self.span)
        return (self.score.run(pictures) - self.base.repeat(times)) / self.span.repeat(times)


def learn(
    start: Tensor, loss: Callable[[Tensor, int], Float[Tensor, " b"]], score: Scorer, *, steps: int, rate: float,
    clamp: bool = True,
) -> Tensor:  # fmt: skip
    """What Adam makes of `start` in so many steps on the summed losses; kept in 0 .. 1 if `clamp`.

    Entries of different pictures share nothing, so that a picture's result does not depend on its batch.
    """
    if steps < 1 or rate <= 0:
        raise LayoutError(f"{steps} steps at rate {rate}", hint="steps=300, rate=0.1")
    with frozen(score.on.model):
        learnt = start.detach().clone().requires_grad_()
        optimizer = torch.optim.Adam([learnt], lr=rate)
        for step in track(range(steps), "steps"):
            (slope,) = torch.autograd.grad(loss(learnt, step).sum(), learnt)
            learnt.grad = slope
            optimizer.step()
            if clamp:
                with torch.no_grad():
                    learnt.clamp_(0, 1)
    return learnt.detach()


def enlarged(mask: Float[Tensor, "b h w"], x: Float[Tensor, "n c H W"]) -> Float[Tensor, "b 1 H W"]:
    """A small mask on the picture's pixels, bilinear."""
    return F.interpolate(mask[:, None], size=x.shape[2:], mode="bilinear", align_corners=False)


def roughness(mask: Float[Tensor, "b h w"], power: float) -> Float[Tensor, " b"]:
    """Mean over neighbours, down and across, of their difference to a power."""
    down, across = mask.diff(dim=1).abs(), mask.diff(dim=2).abs()
    return down.pow(power).mean((1, 2)) + across.pow(power).mean((1, 2))


def small_grid(x: Tensor, side: int) -> tuple[int, int]:
    """`side` entries along the shorter side of a picture, as many of about that size along the longer."""
    if x.ndim != 4:
        raise LayoutError(f"an input {list(x.shape)} cannot be masked", hint="pictures [B, C, H, W]")
    height, width = x.shape[2:]
    if not 2 <= side <= min(height, width):
        raise LayoutError(f"a mask of {side} on {height} x {width} pixels", hint="28 is usual; at most the picture's")
    return max(2, round(side * height / min(height, width))), max(2, round(side * width / min(height, width)))


def check_weights(weights: Iterable[tuple[str, float]]) -> None:
    for name, weight in weights:
        if weight < 0:
            raise LayoutError(f"{name} = {weight}", hint="a weight of at least 0")
