"""Query norms: how loudly each token asks."""

from __future__ import annotations

from regard.core.call import Call, PerQuery
from regard.probes._shared import lengths
from regard.registry import method


@method(
    "probes",
    paper="vit-22b",
    claim="scale |q_i| |k_j| bounds every logit of an unbiased call",
    source="section 2: attention logits grow with queries and keys, hence their normalisation",
    needs={"call"},
    differs="the norms that the normalisation would take out, measured",
    unit="length",
)
def q_norm(call: Call) -> PerQuery:
    """Length of each query vector: with its keys' lengths it bounds the logits.

    n_i = |q_i|_2 in each head, without the call's scale; |s_ij| <= scale n_i |k_j| for logits s without a bias.

    Our q: [B, H, Q, D]. Gives [B, H, Q]. Raises
    CallError where the model makes its attention by hand from something else than q and k.

    Source: Dehghani et al. 2023, "Scaling Vision Transformers to 22 Billion Parameters", section 2.

    >>> import regard as rg, torch
    >>> from regard.core.call import Call
    >>> x = torch.tensor([[[[3.0, 4.0], [0.0, 2.0]]]])
    >>> rg.probes.q_norm(Call("attn", 0, "sdpa", q=x, k=x, v=x))
    tensor([[[5., 2.]]])
    """
    return lengths(call.operand("q"), call.heads)
