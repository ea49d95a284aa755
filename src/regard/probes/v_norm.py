"""Value norms: how much each token has to say."""

from __future__ import annotations

from regard.core.call import Call, Summed
from regard.probes._shared import lengths
from regard.registry import method


@method(
    "probes",
    paper="vector-norms",
    claim="a head's output is no longer than the attention-weighted mean of |v_j|",
    source="the norm of what a token hands over, beside its weight",
    needs={"call"},
    differs="|v_j| of each head, before the output projection: |f(x_j)| in the paper is after it",
    unit="length",
)
def v_norm(call: Call) -> Summed:
    """Length of each value vector: what attention to a token carries, which its weight alone does not tell.

    n_j = |v_j|_2 in each head; a head's output at i is at most sum_j p_ij n_j long.

    Our v: [B, Hk, K, Dv]. Gives [B, H, K]. A group of heads that shares its values shows the same numbers.

    Source: Kobayashi et al. 2020, "Attention is Not Only a Weight: Analyzing Transformers with
    Vector Norms".

    >>> import regard as rg, torch
    >>> from regard.core.call import Call
    >>> x = torch.tensor([[[[3.0, 4.0], [0.0, 2.0]]]])
    >>> rg.probes.v_norm(Call("attn", 0, "sdpa", q=x, k=x, v=x))
    tensor([[[5., 2.]]])
    """
    return lengths(call.values, call.heads)
