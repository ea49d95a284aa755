"""Agent attention: a few agents ask the keys, and the queries ask the agents."""

from __future__ import annotations

from torch import Tensor

from regard.operators._shared import Keys, Output, Queries, Values, check, check_float, softmax_attention
from regard.registry import method


@method(
    "operators",
    paper="agent-attention",
    claim="equals the product of two explicit softmax matrices, whose rows sum to 1",
    source="generalised linear attention by agents, with both biases of the released layer",
    needs={"q", "k", "v", "agents"},
    differs="agents are given (the paper pools the queries); the depthwise convolution of values is left to a layer",
    unit="values",
    kinds="self, cross, causal cross",
)
def agent(
    q: Queries, k: Keys, v: Values, agents: Queries, *, scale: float | None = None,
    agent_bias: Tensor | None = None, query_bias: Tensor | None = None,
) -> Output:  # fmt: skip
    """Softmax attention through a few agent tokens: generalised linear attention of rank at most their number.

    out = softmax(scale q A^T + query_bias) softmax(scale A k^T + agent_bias) v, with agents A.
    scale: 1 / sqrt(D) unless given. agent_bias broadcasts to [B, H, A, K], query_bias to [B, H, Q, A].

    q [B, H, Q, D], k [B, H, K, D], v [B, H, K, E], agents [B, H, A, D]; gives [B, H, Q, E]. Cost (Q + K) A (D + E).

    Raises LayoutError where shapes do not fit. Source: Han et al. 2024, "Agent Attention: On the Integration of
    Softmax and Linear Attention".

    >>> import regard as rg, torch
    >>> q, k = torch.randn(2, 1, 2, 64, 8)
    >>> v = torch.ones(1, 2, 64, 8)
    >>> rg.operators.agent(q, k, v, q.unflatten(2, (4, 16)).mean(3)).sub(1).abs().max() < 1e-5
    tensor(True)
    """
    check(q, k, v)
    check(agents, k, v)
    check_float("agents", agents, "B, H, A, D")
    gathered = softmax_attention(agents, k, v, scale=scale, bias=agent_bias)
    return softmax_attention(q, agents, gathered, scale=scale, bias=query_bias)
