"""Concept global importance: do the concepts that a model ties to a class belong to it?"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError


def global_importance(importance: Float[Tensor, "l k"], truth: Float[Tensor, "l k"]) -> Float[Tensor, " l"]:
    """The cosine, concept by concept, of its importance to each class with how often people see it there.

    CGIM_j = cos(importance_j., truth_j.). importance: the bottleneck's weights (the paper's first kind), what it says
    about the classes' pictures on average (the second), or their product (the third). truth: the share of each class's
    pictures in which people see the concept. Transpose both for a number a class. 0 where a row has no length. What
    permuted concepts reach is the chance to hold it against: `global_importance(importance[permutation], truth)`.

    Raises LayoutError where the two differ in shape.
    Source: Aysel, Cai and Prugel-Bennett 2025, "Concept-Based Explainable AI: Metrics and Benchmarks" (CGIM).

    >>> import torch
    >>> from regard.concepts import global_importance
    >>> global_importance(torch.tensor([[2.0, 0.0], [1.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    tensor([1.0000, 0.7071])
    """
    if importance.shape != truth.shape:
        raise LayoutError(f"importance {list(importance.shape)}, truth {list(truth.shape)}", hint="both [L, K]")
    lengths = importance.norm(dim=1) * truth.norm(dim=1)
    return torch.where(lengths > 0, (importance * truth).sum(1) / lengths.clamp_min(1e-300), 0.0)
