"""Key norms: how loudly each token answers."""

from __future__ import annotations

from regard.core.call import Call, Summed
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
def k_norm(call: Call) -> Summed:
    """Length of each key vector: a long key is heard by every query that leans its way.

    n_j = |k_j|_2 in each head; |s_ij| <= scale |q_i| n_j for logits s without a bias.

    Our k: [B, Hk, K, D]. Gives [B, H, K]. A group of heads that shares its keys shows the same numbers. Raises
    CallError where the model makes its attention by hand from something else than q and k.

    Source: Dehghani et al. 2023, "Scaling Vision Transformers to 22 Billion Parameters", section 2.

    >>> import regard as rg, torch
    >>> from regard.core.call import Call
    >>> x = torch.tensor([[[[3.0, 4.0], [0.0, 2.0]]]])
    >>> rg.probes.k_norm(Call("attn", 0, "sdpa", q=x, k=x, v=x))
    tensor([[[5., 2.]]])
    """
    return lengths(call.operand("k"), call.heads)
