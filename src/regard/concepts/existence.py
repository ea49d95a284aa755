"""Concept existence: are the concepts that decide about a picture in it?"""

from __future__ import annotations

from jaxtyping import Bool, Float, Int
from torch import Tensor

from regard.errors import LayoutError


def existence(
    weights: Float[Tensor, "l k"],
    said: Float[Tensor, "n l"],
    classes: Int[Tensor, " n"],
    present: Bool[Tensor, "n l"],
    *,
    top: int = 1,
) -> Float[Tensor, " n"]:
    """Of the `top` concepts that speak most for a picture's class, the share that people see in the picture.

    CEM_t = 1/t sum of present[i, q] over the t concepts q of largest weights[q, class] said[i, q]. One number a
    picture; `present.float().mean(1)` is what concepts picked at random reach. Raises LayoutError for more concepts
    than there are.
    Source: Aysel, Cai and Prugel-Bennett 2025, "Concept-Based Explainable AI: Metrics and Benchmarks" (CEM).

    >>> import torch
    >>> from regard.concepts import existence
    >>> said, present = torch.tensor([[0.9, 0.1, 0.5]]), torch.tensor([[True, False, False]])
    >>> [float(existence(torch.ones(3, 2), said, torch.tensor([1]), present, top=t)) for t in (1, 2)]
    [1.0, 0.5]
    """
    return present.gather(1, leading(weights, said, classes, top)).double().mean(1)


def leading(
    weights: Float[Tensor, "l k"], said: Float[Tensor, "n l"], classes: Int[Tensor, " n"], top: int
) -> Int[Tensor, "n t"]:
    """The concepts that speak most for each picture's class, the strongest first."""
    if not 0 < top <= weights.shape[0]:
        raise LayoutError(f"the {top} leading concepts of {weights.shape[0]}", hint=f"top=1 to {weights.shape[0]}")
    return (weights.T[classes] * said).argsort(dim=1, descending=True, stable=True)[:, :top]
