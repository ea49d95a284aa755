"""Effective rank: in how many directions an attention matrix mixes."""

from __future__ import annotations

import torch

from regard.core.call import Call, PerHead
from regard.probes.spectrum import spectrum
from regard.registry import method


@method(
    "probes",
    paper="effective-rank",
    claim="1 for uniform attention, the number of tokens for a head that looks at itself",
    source="definition: the exponential of the entropy of the normalised singular values",
    needs={"call"},
    differs="none",
    unit="dimensions",
)
def rank(call: Call) -> PerHead:
    """Effective rank of each head's attention matrix.

    r = exp(-sum_k s_k ln s_k) with s = sigma / sum sigma the normalised singular values of p [Q, K].
    Gives [B, H] in float64, 1 .. min(Q, K); 0 for a head whose queries are all masked. Cost, memory and the
    smallest values that count are those of `spectrum`, over all heads.

    Source: Roy and Vetterli 2007, "The effective rank: A measure of effective dimensionality".

    >>> import regard as rg, torch
    >>> from regard.core.call import Call
    >>> p = torch.eye(4)[None, None]
    >>> rg.probes.rank(Call("attn", 0, "hand", None, None, v=p, weights=p))
    tensor([[4.]], dtype=torch.float64)
    """
    values = spectrum(call)
    total = values.sum(-1)
    entropy = torch.special.entr(values / total[..., None]).sum(-1)
    return entropy.exp().where(total > 0, 0.0)
