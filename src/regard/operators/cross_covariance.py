"""Cross-covariance attention: channels attend to channels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from regard.operators._shared import Keys, Output, Queries, Values, check
from regard.registry import method


@method(
    "operators",
    paper="xcit",
    claim="equals softmax attention of the transposed, normalised tokens; and timm's XCA with copied weights",
    source="the paper's definition of XCA",
    needs={"q", "k", "v"},
    differs="none",
    unit="values",
    kinds="self",
)
def cross_covariance(q: Queries, k: Keys, v: Values, *, temperature: float | Tensor = 1.0) -> Output:
    """out^T = softmax(temperature q'^T k') v^T with channels q', k' of length 1 over the tokens.

    temperature: multiplies the logits; one number, or one for each head ([H]); the paper's 1 / tau.

    q, k [B, H, N, D], v [B, H, N, E] with E = D; gives [B, H, N, E]. Cost N D^2.

    Raises LayoutError where shapes do not fit. Source: El-Nouby et al. 2021, "XCiT: Cross-Covariance Image
    Transformers".

    >>> import regard as rg, torch
    >>> q, k, v = torch.randn(3, 1, 1, 9, 4)
    >>> mean = v.mean(-1, keepdim=True).expand(-1, -1, -1, 4)
    >>> torch.allclose(rg.operators.cross_covariance(q, k, v, temperature=0.0), mean, atol=1e-6)
    True
    """
    check(q, k, v, same_count=True)
    gain = torch.as_tensor(temperature, dtype=q.dtype, device=q.device).view(-1, 1, 1)
    logits = F.normalize(q, dim=2).mT @ F.normalize(k, dim=2) * gain
    return (torch.softmax(logits, -1) @ v.mT).mT
