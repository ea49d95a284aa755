"""Induced attention: a set summarised by a few inducing points, which its members then ask."""

from __future__ import annotations

from regard.errors import LayoutError
from regard.operators._shared import Keys, Output, Queries, Values, check, softmax_attention
from regard.registry import method


@method(
    "operators",
    paper="set-transformer",
    claim="equals two explicit attentions; permuting the set permutes the output; cost linear in the set",
    source="ISAB: attention from inducing points, then to them",
    needs={"q", "k", "v", "inducing"},
    differs="without the blocks' residuals, norms and feed-forward parts, which are a layer's",
    unit="values",
    kinds="self, cross, causal cross",
)
def induced(q: Queries, k: Keys, v: Values, inducing: Queries, *, scale: float | None = None) -> Output:
    """h = softmax(scale I k^T) v, out = softmax(scale q h^T) h: the queries ask what the inducing points gathered.

    Other than agents, which are asked by what they were, inducing points are asked by what they found. h alone, with
    seeds in the place of I, is pooling by attention (PMA). scale: 1 / sqrt(D) unless given.

    q [B, H, Q, D], k and v [B, H, K, D], inducing [B, H, M, D]; gives [B, H, Q, D]. Cost (Q + K) M D.

    Raises LayoutError where shapes do not fit, also where v is not as wide as q. Source: Lee et al. 2019, "Set
    Transformer".

    >>> import regard as rg, torch
    >>> q, k, v, points = *torch.randn(3, 1, 1, 9, 4), torch.randn(1, 1, 2, 4)
    >>> rg.operators.induced(q, k, v, points).shape
    torch.Size([1, 1, 9, 4])
    """
    check(q, k, v)
    check(inducing, k, v)
    if v.shape[-1] != q.shape[-1]:
        raise LayoutError(f"v {list(v.shape)} for q {list(q.shape)}", hint="v as wide as q, which asks what v became")
    gathered = softmax_attention(inducing, k, v, scale=scale)
    return softmax_attention(q, gathered, gathered, scale=scale)
