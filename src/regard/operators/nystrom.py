"""Nystrom attention: the softmax matrix rebuilt from its rows and columns at a few landmarks."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.operators._shared import Keys, Output, Queries, Values, check, check_count, scale_of
from regard.registry import method


@method(
    "operators",
    paper="nystromformer",
    claim="every token a landmark, exact pseudo-inverse: dense attention; the iteration converges to it",
    source="the three softmax matrices and the iteration for the pseudo-inverse",
    needs={"q", "k", "v"},
    differs="landmarks of uneven segments where their number does not divide the tokens; no depthwise convolution",
    unit="values",
    kinds="self, cross",
)
def nystrom(
    q: Queries, k: Keys, v: Values, *, landmarks: int = 16, inverse: Literal["iterative", "exact"] = "iterative",
    steps: int = 6, scale: float | None = None,
) -> Output:  # fmt: skip
    """softmax(q kL^T) softmax(qL kL^T)^+ softmax(qL k^T) v, with means of segments of q and k as landmarks qL and kL.

    inverse: the pseudo-inverse by singular values, or by `steps` of Z <- Z/4 (13 I - A Z (15 I - A Z (7 I - A Z))).
    scale: 1 / sqrt(D) unless given.

    q [B, H, Q, D], k [B, H, K, D], v [B, H, K, E]; gives [B, H, Q, E]. Cost (Q + K) L (D + E) + L^3.

    Raises LayoutError where shapes do not fit, or there are more landmarks than tokens. Source: Xiong et al. 2021,
    "Nystromformer".

    >>> import regard as rg, torch
    >>> q, k, v = torch.randn(3, 1, 2, 12, 4, dtype=torch.float64)
    >>> dense = torch.nn.functional.scaled_dot_product_attention(q, k, v)
    >>> (rg.operators.nystrom(q, k, v, landmarks=12, inverse="exact") - dense).abs().max() < 1e-6
    tensor(True)
    """
    check(q, k, v)
    check_count("landmarks", landmarks, 1, min(q.shape[2], k.shape[2]))
    scale = scale_of(q, scale)
    few_q, few_k = (_landmarks(x, landmarks) for x in (q, k))
    left, middle, right = (torch.softmax(scale * a @ b.mT, -1) for a, b in ((q, few_k), (few_q, few_k), (few_q, k)))
    if inverse == "exact":
        inverted = torch.linalg.pinv(middle)
    elif inverse == "iterative":
        inverted = _iterated(middle, steps)
    else:
        raise LayoutError(f"inverse='{inverse}'", hint="exact or iterative")
    return left @ (inverted @ (right @ v))


def _landmarks(x: Tensor, count: int) -> Tensor:
    return F.adaptive_avg_pool1d(x.flatten(0, 1).mT, count).mT.unflatten(0, x.shape[:2])


def _iterated(a: Tensor, steps: int) -> Tensor:
    eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
    z = a.mT / (a.abs().sum(-2).amax(-1) * a.abs().sum(-1).amax(-1))[..., None, None]
    for _ in range(steps):
        az = a @ z
        z = z @ (13 * eye - az @ (15 * eye - az @ (7 * eye - az))) / 4
    return z
