"""ExtrMask: which points of a series the score needs, where the others are replaced by what a network has learnt."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.errors import DegenerateError, LayoutError
from regard.explainers._masks import check_weights, learn
from regard.explainers._pixels import on_pixels
from regard.registry import method
from regard.subjects.scorer import Scorer
from regard.subjects.values import MapValues

HIDDEN, RATE = 8, 0.01


@method(
    "explainers",
    paper="extrmask",
    claim="the objective is the authors' on fixed tensors; finds the points that a hidden rule reads, and more of them "
    "than with a fixed replacement",
    source="section 3.2, equation 8: preservation game with a learnt perturbation",
    needs={"score"},
    differs="each series has a network of its own (two convolutions with a ReLU between them, shared over time, in the "
    "place of a recurrent one shared by the series), so that a map does not depend on the batch; the loss is the "
    "squared change of the score as a share of its difference from the baseline; no deletion game",
    unit="share kept",
)
def extrmask(
    x: Tensor, score: Scorer, generator: torch.Generator, *, steps: int = 500, size: float = 1.0, change: float = 1.0,
    width: int = 5, learnt: bool = True,
) -> MapValues:  # fmt: skip
    """How much of each point must stay for the score to hold, m and what replaces the rest learnt together.

    min_{m, NN} mean(size m + change |NN(x)|) + ((y(m x + (1 - m) NN(x)) - y(x)) / (y(x) - y(0)))^2, m in 0 .. 1 for
    each channel and time, 1/2 at first, `steps` of Adam at rate 0.01. NN: convolutions of `width` points over time (or
    over the picture). learnt=False: NN = 0, a fixed replacement. x `[B, C, T]` gives `[B, C, T]`; of pictures the mean
    mask of the channels, `[B, H, W]`. Our size, change: lambda_1, lambda_2 in the paper.

    Raises DegenerateError where 0 scores as the input does, LayoutError for options without a sense.
    Source: Enguehard 2023, "Learning Perturbations to Explain Time Series Predictions".

    >>> import regard as rg, torch
    >>> from functools import partial
    >>> class Late(torch.nn.Module):
    ...     def forward(self, x):
    ...         return x[:, :, 8:].sum((1, 2))[:, None]
    >>> x = torch.ones(2, 2, 12)
    >>> heat = rg.explain(Late(), x, method=partial(rg.explainers.extrmask, steps=150), target=0).values[0]
    >>> bool(heat[:, 8:].min() > heat[:, :8].max())
    True
    """
    check_weights((("size", size), ("change", change)))
    if x.ndim not in (3, 4) or width < 1 or width % 2 == 0:
        raise LayoutError(
            f"an input {list(x.shape)}, convolutions of {width} points", hint="[B, C, T] or [B, C, H, W]; an odd width"
        )
    span = score.value - score(torch.zeros_like(x))
    if not bool(span.any(0)) or bool((span == 0).any()):
        raise DegenerateError("an input of zeros scores as the input does", hint="another target, or inputs that count")
    weights = _first(x, width, generator)
    cut = x[0].numel()

    def loss(entries: Float[Tensor, "b n"], _: int) -> Tensor:
        mask = entries[:, :cut].view_as(x).clamp(0, 1)
        other = _network(x, entries[:, cut:], width) if learnt else torch.zeros_like(x)
        told = ((score.run(mask * x + (1 - mask) * other) - score.value) / span).square()
        return objective(entries[:, :cut].view_as(x), other, told, size=size, change=change)

    start = torch.cat([torch.full_like(x.flatten(1), 0.5), weights], 1)
    found = learn(start, loss, score, steps=steps, rate=RATE, clamp=False)[:, :cut].view_as(x).clamp(0, 1)
    return on_pixels(found / (x.shape[1] if x.ndim == 4 else 1))


def objective(
    mask: Float[Tensor, "b ..."], other: Float[Tensor, "b ..."], told: Float[Tensor, " b"], *, size: float,
    change: float,
) -> Float[Tensor, " b"]:  # fmt: skip
    """mean(size |m| + change |NN(x)|) + what the score changes by."""
    return (size * mask.abs() + change * other.abs()).flatten(1).mean(1) + told


def _shapes(x: Tensor, width: int) -> tuple[tuple[int, ...], ...]:
    """Of both convolutions' weights and biases, for one input."""
    kernel = (width,) * (x.ndim - 2)
    return (HIDDEN, x.shape[1], *kernel), (HIDDEN,), (x.shape[1], HIDDEN, *kernel), (x.shape[1],)


def _first(x: Tensor, width: int, generator: torch.Generator) -> Float[Tensor, "b n"]:
    """Weights drawn small, the same for all inputs and in float64 for every type; biases 0."""
    drawn = []
    for shape in _shapes(x, width):
        fan = torch.Size(shape[1:]).numel()
        noise = torch.randn(shape, generator=generator, dtype=torch.float64) / fan**0.5
        drawn.append((noise if len(shape) > 1 else 0 * noise).flatten())
    return torch.cat(drawn).to(x).expand(len(x), -1)


def _network(x: Tensor, weights: Float[Tensor, "b n"], width: int) -> Tensor:
    """Each input through its own two convolutions, as groups of one."""
    b, c = x.shape[:2]
    convolve = F.conv1d if x.ndim == 3 else F.conv2d
    shapes = _shapes(x, width)
    parts = weights.split([torch.Size(s).numel() for s in shapes], 1)
    w1, b1, w2, b2 = (p.reshape(b * s[0], *s[1:]) for p, s in zip(parts, shapes, strict=True))
    hidden = F.relu(convolve(x.reshape(1, b * c, *x.shape[2:]), w1, b1, padding=width // 2, groups=b))
    return convolve(hidden, w2, b2, padding=width // 2, groups=b).view_as(x)
