"""Performer: softmax attention estimated by positive random features."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.operators._scan import scan
from regard.operators._shared import Form, Keys, Output, Queries, Values, check, check_count, scale_of, step_of
from regard.registry import method


@method(
    "operators",
    paper="performer",
    claim="its kernel is an unbiased estimate of exp(scale q . k); the error falls with the features",
    source="positive random features (FAVOR+), orthogonal in blocks",
    needs={"q", "k", "v"},
    differs="features are drawn anew for each call from `seed`, in float64, the same for all heads",
    unit="values",
    kinds="self, causal self, cross, causal cross",
)
def performer(
    q: Queries, k: Keys, v: Values, *, features: int = 256, scale: float | None = None, seed: int = 0,
    causal: bool = False, form: Form = "chunked", chunk: int = 64,
) -> Output:  # fmt: skip
    """Linear attention with phi(x) = exp(w_m . x - |x|^2 / 2) / sqrt(M) for M random w: E phi(q) . phi(k) = exp(q . k).

    out_i = sum_j phi(q_i) . phi(k_j) v_j / sum_j phi(q_i) . phi(k_j), with q and k times sqrt(scale). The w are
    Gaussian in length and orthogonal in blocks of D. features: M. scale: 1 / sqrt(D) unless given.

    q [B, H, Q, D], k [B, H, K, D], v [B, H, K, E]; gives [B, H, Q, E]. Cost N M E. The error grows as exp(|q + k|^2).

    Raises LayoutError where shapes do not fit, or features < 1. Source: Choromanski et al. 2021, "Rethinking
    Attention with Performers".

    >>> import regard as rg, torch
    >>> q, k, v = torch.randn(3, 1, 1, 32, 8, generator=torch.Generator().manual_seed(0)) / 2
    >>> exact = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    >>> (rg.operators.performer(q, k, v, features=4096) - exact).abs().max() < 0.05
    tensor(True)
    """
    check(q, k, v, same_count=causal)
    check_count("features", features, 1)
    w = _orthogonal(features, q.shape[-1], seed).to(q)
    root = scale_of(q, scale) ** 0.5
    # A factor of a row of features cancels where rows are divided; a factor of all keys does, too.
    q, k = (_positive(x * root, w, axes) for x, axes in ((q, (-1,)), (k, (-1, -2))))
    v = torch.cat([v, torch.ones_like(v[..., :1])], -1)
    out = scan(q, k, v, None, step_of(form, chunk, q.shape[2])) if causal else q @ (k.mT @ v)
    return out[..., :-1] / out[..., -1:]


def _positive(x: Tensor, w: Tensor, axes: tuple[int, ...]) -> Tensor:
    """exp(w . x - |x|^2 / 2), divided by the largest along axes lest it overflow."""
    exponents = x @ w.mT - x.square().sum(-1, keepdim=True) / 2
    return (exponents - exponents.detach().amax(axes, keepdim=True)).exp()


def _orthogonal(count: int, width: int, seed: int) -> Tensor:
    """Gaussian directions, orthogonal within each block of `width`, [count, width]."""
    generator = torch.Generator().manual_seed(seed)
    blocks = -(-count // width)
    drawn = torch.randn(blocks, width, width, generator=generator, dtype=torch.float64)
    q, r = torch.linalg.qr(drawn)
    q = q * r.diagonal(dim1=-2, dim2=-1).sign()[:, None]  # uniform over all rotations, whatever LAPACK's signs
    lengths = torch.randn(blocks, width, width, generator=generator, dtype=torch.float64).norm(dim=-1, keepdim=True)
    return (q.mT * lengths).flatten(0, 1)[:count]
