"""Eigen-CAM: what a layer's activations mostly vary by, whatever the class."""

from __future__ import annotations

import torch

from regard.registry import method
from regard.subjects.tap import Activations
from regard.subjects.values import MapValues


@method(
    "explainers",
    paper="eigencam",
    claim="the projection on the first right singular vector of the explicit matrix, its sign fixed",
    source="section III: equations 1 and 2",
    needs={"activations"},
    differs="the sign, which a singular vector leaves open, is that of agreement with the mean activation",
    unit="activation",
)
def eigencam(activations: Activations, *, centre: bool = False) -> MapValues:
    """Activations of a layer projected on their first principal direction over places.

    A as a matrix `[h w, C]` = U S V^T; L = A v_1, with the sign that makes sum_ij L_ij mean_k A_kij positive; of A
    without its mean over places, if `centre`. The target is not looked at. Gives `[B, h, w]`.

    Our activations.values: A `[B, C, h, w]`. Source: Muhammad and Yeasin 2020, "Eigen-CAM: Class Activation Map using
    Principal Components".

    >>> import regard as rg
    >>> model = rg.model("random:test_resnet")
    >>> rg.explain(model, rg.image("sample:coffee", like=model), method="eigencam", target=7).site
    'layer4'
    """
    wide = torch.promote_types(activations.values.dtype, torch.float32)
    places = activations.values.to(wide).flatten(2).mT
    mean = places.mean(2)
    if centre:
        places = places - places.mean(1, keepdim=True)
        mean = mean - mean.mean(1, keepdim=True)
    u, s, _ = torch.linalg.svd(places, full_matrices=False)
    first = u[..., 0] * s[:, :1]
    sign = torch.where((first * mean).sum(1, keepdim=True) < 0, -1.0, 1.0).to(first)
    return MapValues(
        (sign * first).unflatten(1, activations.values.shape[2:]), activations.grid, site=activations.address
    )
