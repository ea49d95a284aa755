"""Local linear attention: each query fits a line through the keys near it and reads the line at itself."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.operators._shared import Keys, Output, Queries, Values, check, check_count, scale_of
from regard.registry import method


@method(
    "operators",
    paper="local-linear-attention",
    claim="equals an explicit weighted least squares fit for each query; blockwise equals dense, gradients too",
    source="the paper's closed form of the local linear estimator, as a centred ridge regression",
    needs={"q", "k", "v"},
    differs="moments about the mean, which gives the same fit; Cholesky, not conjugate gradients; causal if asked",
    unit="values",
    kinds="self, causal self, cross, causal cross",
)
def local_linear(
    q: Queries, k: Keys, v: Values, *, scale: float | None = None, ridge: float = 1e-2, causal: bool = False,
    form: Literal["dense", "blockwise"] = "blockwise", block: int = 64,
) -> Output:  # fmt: skip
    """Softmax attention with its first-order error removed: the intercept of a local linear fit of values on keys.

    For each query: minimise sum_j w_j |v_j - c - M (k_j - q)|^2 + ridge |M|^2 with w = softmax(scale q . k); out = c.
    With m = sum w k and C = sum w (k - m)(k - m)^T + ridge I: out = sum_j w_j (1 + (q - m) . C^-1 (k_j - m)) v_j.
    A large ridge is softmax attention. form blockwise holds block x K differences at a time.

    q [B, H, Q, D], k [B, H, K, D], v [B, H, K, E]; gives [B, H, Q, E]. Cost Q K D^2, memory block K D.

    Raises LayoutError where shapes do not fit, or ridge is not above 0. Source: Zuo et al. 2025, "Local Linear
    Attention".

    >>> import regard as rg, torch
    >>> q, k = torch.linspace(0, 1, 5).view(1, 1, 5, 1), torch.linspace(-1, 2, 9).view(1, 1, 9, 1)
    >>> rg.operators.local_linear(q, k, 3 * k + 1, ridge=1e-6).flatten()  # a line is read off exactly
    tensor([1.0000, 1.7500, 2.5000, 3.2500, 4.0000])
    """
    check(q, k, v, same_count=causal)
    if not ridge > 0:
        raise LayoutError(f"ridge={ridge}", hint="above 0: without it a fit through few keys has no single solution")
    if form not in ("dense", "blockwise"):
        raise LayoutError(f"form='{form}'", hint="dense or blockwise")
    check_count("block", block, 1)
    step = block if form == "blockwise" else max(1, q.shape[2])
    scale = scale_of(q, scale)
    pieces = [
        _fit(q[:, :, i : i + step], k, v, scale, ridge, i if causal else None) for i in range(0, q.shape[2], step)
    ]
    return torch.cat(pieces, 2)


def _fit(q: Tensor, k: Tensor, v: Tensor, scale: float, ridge: float, start: int | None) -> Tensor:
    """A block of queries, the first of them at `start` where attention is causal."""
    logits = scale * q @ k.mT
    if start is not None:
        rows = torch.arange(start, start + q.shape[2], device=q.device)
        future = torch.arange(k.shape[2], device=q.device) > rows[:, None]
        logits = logits.masked_fill(future, float("-inf"))
    w = torch.softmax(logits, -1)
    mean = w @ k
    apart = k[:, :, None] - mean[:, :, :, None]  # about the mean: about q, float32 would lose what is left of 1
    spread = torch.einsum("bhqk,bhqkd,bhqke->bhqde", w, apart, apart)
    spread = spread + ridge * torch.eye(q.shape[-1], dtype=q.dtype, device=q.device)
    slope = torch.cholesky_solve((q - mean)[..., None], torch.linalg.cholesky(spread))[..., 0]
    return (w * (1 + torch.einsum("bhqd,bhqkd->bhqk", slope, apart))) @ v
