"""Linformer attention: keys and values projected along the tokens to a fixed number."""

from __future__ import annotations

from torch import Tensor

from regard.errors import LayoutError
from regard.operators._shared import Keys, Output, Queries, Values, check, softmax_attention
from regard.registry import method


@method(
    "operators",
    paper="linformer",
    claim="identity projections give dense attention; equals softmax over projected keys by hand",
    source="the paper's projected attention of a head",
    needs={"q", "k", "v", "projection"},
    differs="the projections are given; one may serve keys and values, one or all heads",
    unit="values",
    kinds="self, cross, causal cross",
)
def linformer(
    q: Queries, k: Keys, v: Values, projection: Tensor, *, values: Tensor | None = None, scale: float | None = None
) -> Output:
    """softmax(scale q (E k)^T) (F v): attention over M mixtures of keys and values.

    projection: E [M, K] or [H, M, K]. values: F, of the same shape; E unless given. scale: 1 / sqrt(D) unless given.

    q [B, H, Q, D], k [B, H, K, D], v [B, H, K, E]; gives [B, H, Q, E]. Cost (Q + K) M (D + E).

    Raises LayoutError where shapes do not fit. Source: Wang et al. 2020, "Linformer: Self-Attention with Linear
    Complexity".

    >>> import regard as rg, torch
    >>> q, k, v = torch.randn(3, 1, 1, 6, 4)
    >>> dense = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    >>> torch.allclose(rg.operators.linformer(q, k, v, torch.eye(6)), dense, atol=1e-6)
    True
    """
    check(q, k, v)
    values = projection if values is None else values
    for name, mix in (("projection", projection), ("values", values)):
        if mix.ndim not in (2, 3) or mix.shape[-1] != k.shape[2] or mix.shape[-2] != projection.shape[-2]:
            raise LayoutError(f"{name} is {list(mix.shape)} for {k.shape[2]} keys", hint=f"[M, {k.shape[2]}]")
    return softmax_attention(q, projection.to(k) @ k, values.to(v) @ v, scale=scale)
