"""Concept activation maps: where in a picture the features point along a concept's vector."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError


def activation_maps(features: Float[Tensor, "b d h w"], vectors: Float[Tensor, "l d"]) -> Float[Tensor, "b l h w"]:
    """The dot product of each position's features with each concept's vector, over the number of features.

    F_l = 1/d sum_k c_lk E_k: before the features are pooled, so that the mean of a map is the concept's score over d.
    Raises LayoutError where a vector is not as long as the features are many.
    Source: Aysel, Cai and Prugel-Bennett 2025, "Concept-Based Explainable AI: Metrics and Benchmarks" (CoAM).

    >>> import torch
    >>> from regard.concepts import activation_maps
    >>> activation_maps(torch.ones(1, 4, 2, 2), torch.eye(4)[:2])[0, 0]
    tensor([[0.2500, 0.2500],
            [0.2500, 0.2500]])
    """
    if features.shape[1] != vectors.shape[1]:
        raise LayoutError(
            f"vectors of {vectors.shape[1]} numbers for {features.shape[1]} features", hint="[L, d] for [B, d, h, w]"
        )
    return (vectors @ features.flatten(2)).unflatten(2, features.shape[2:]) / features.shape[1]
