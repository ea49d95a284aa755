"""NeVA and NevaClip: the next fixation is where sharp sight would help most, found by the model's own gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import DegenerateError, LayoutError
from regard.gaze.data import Scanpath
from regard.gaze.scanpaths._view import fovea, softened, view


@dataclass(frozen=True)
class Glances:
    """A path, and after each fixation how like the goal the picture then looked (cosine)."""

    path: Scanpath
    likeness: tuple[float, ...]


def neva(
    x: Tensor,
    embed: Callable[[Tensor], Tensor],
    goal: Tensor,
    *,
    fixations: int = 5,
    steps: int = 20,
    rate: float = 0.1,
    sigma: float = 0.12,
    softness: float = 0.04,
    kept: float = 1.0,
    seed: int = 0,
) -> Glances:
    """Fixations that make a picture, sharp only where it was looked at, as like the goal as they can.

    Each fixation starts at the centre and takes `steps` steps of `rate` along the sign of the gradient of
    cos(embed(view), goal) with respect to the position; after a step that made it worse the next one starts from the
    best place with a jitter. view = blurred + seen (sharp - blurred), seen = memory + exp(-d^2 / 2 sigma^2) cut to
    0..1; after a fixation memory = kept (memory + what it saw). With kept=1 nothing is forgotten, so that a place
    already seen has nothing left to give: this is the inhibition of return. The paper's code writes exp(-d^2 / sigma).

    x [1, C, H, W] as the model wants it · embed: pictures -> [B, D], any model · goal [D]: the embedding of a caption
    (NevaClip), of a picture of the target, or of the whole picture (free viewing) · rate, sigma, softness (the blur):
    of the shorter side. The path is in pixels of x; durations are NaN.

    Raises LayoutError for other shapes, DegenerateError where the blur leaves no gradient.

    >>> x = torch.zeros(1, 3, 24, 24); x[:, :, 3:6, 15:18] = 1.0
    >>> told = neva(x, lambda v: v.mean(1).flatten(1), x.mean(1).flatten(), fixations=1)
    >>> bool((told.path.xy - [16.5, 4.5]).__abs__().max() < 3)
    True
    """
    if x.ndim != 4 or len(x) != 1 or fixations < 1 or steps < 1 or goal.ndim != 1 or not 0 <= kept <= 1:
        raise LayoutError(
            f"x {list(x.shape)}, goal {list(goal.shape)}, {fixations} fixations of {steps} steps, kept={kept}",
            hint="one picture [1, C, H, W], a goal [D], one fixation and step or more, kept in 0..1",
        )
    h, w = x.shape[-2:]
    side = min(h, w)
    soft = softened(x, softness * side)
    if torch.allclose(soft, x, rtol=1e-5, atol=1e-6):
        raise DegenerateError("the view does not depend on the fixation", hint="a picture with detail, softness over 0")
    memory = torch.zeros(1, h, w, dtype=x.dtype, device=x.device)
    goal, generator = goal.detach(), torch.Generator().manual_seed(seed)
    path, likeness = [], []
    for _ in range(fixations):

        def like(at: Tensor, memory: Tensor = memory) -> Tensor:
            seen = memory + fovea(at[None] * side, (h, w), sigma * side)
            return F.cosine_similarity(embed(view(x, soft, seen))[0], goal, dim=0)

        best, reached = _climbed(like, x.new_tensor([w, h]) / side, steps, rate, generator)
        memory = (kept * (memory + fovea(best[None] * side, (h, w), sigma * side))).clamp(0, 1)
        path.append([float(v) * side for v in best])
        likeness.append(reached)
    return Glances(Scanpath(path, [float("nan")] * fixations, observer="neva", size=(h, w)), tuple(likeness))


def _climbed(
    like: Callable[[Tensor], Tensor], far: Tensor, steps: int, rate: float, generator: torch.Generator
) -> tuple[Tensor, float]:
    """The best place that sign-gradient steps from the centre came by, in shorter sides, and its value."""
    here = far / 2
    best, reached = here, -float("inf")
    for _ in range(steps + 1):
        at = here.detach().requires_grad_()
        with torch.enable_grad():
            value = like(at)
            (slope,) = torch.autograd.grad(value, at)
        if float(value.detach()) > reached:
            best, reached = at.detach(), float(value.detach())
            here = best + rate * slope.sign()
        else:
            jitter = torch.randn(2, generator=generator, dtype=torch.float64).to(far)
            here = best + rate * jitter
        here = here.clamp(min=0).minimum(far)
    return best, reached
