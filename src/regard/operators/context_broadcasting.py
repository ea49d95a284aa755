"""Context broadcasting: uniform attention, mixed in for free."""

from __future__ import annotations

from regard.operators._shared import Tokens, check_float
from regard.registry import method


@method(
    "operators",
    paper="context-broadcasting",
    claim="equals the explicit average with a uniform attention matrix",
    source="the paper's CB module",
    needs={"tokens"},
    differs="the share is an option (CB_S scales it by channel, with weights)",
    unit="values",
)
def context_broadcasting(tokens: Tokens, *, share: float = 0.5) -> Tokens:
    """(1 - share) x_i + share mean_j x_j: every token hears the mean token.

    tokens [B, N, C]; gives [B, N, C]. The paper puts it, with share 1/2, into the MLP of every layer.

    Raises LayoutError unless tokens are floats [B, N, C]. Source: Hyeon-Woo et al. 2023, "Scratching Visual
    Transformer's Back with Uniform Attention".

    >>> import regard as rg, torch
    >>> rg.operators.context_broadcasting(torch.tensor([[[0.0], [4.0]]])).flatten()
    tensor([1., 3.])
    """
    check_float("tokens", tokens, "B, N, C")
    return tokens.lerp(tokens.mean(1, keepdim=True), share)
