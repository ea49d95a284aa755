"""Divergence: how differently a head would speak if it could not see chosen keys."""

from __future__ import annotations

import torch

from regard.core.call import Call, PerQuery, Rows
from regard.probes._shared import check_indices
from regard.registry import method


@method(
    "probes",
    paper="vhr",
    claim="the distance of a head's outputs with and without the keys; exactly 0 for a head that has no weight on them",
    source="vision-aware head divergence: the distance of head outputs with and without the image",
    needs={"rows", "call"},
    differs="keys are hidden from each head by itself, whose inputs stay; the paper runs the model again without the "
    "image: the same in the first layer",
    unit="length",
)
def divergence(rows: Rows, call: Call, *, keys: tuple[int, ...] = (0,)) -> PerQuery:
    """Distance between a head's output and what it would be if some keys were hidden from it.

    d_i = |o_i - o'_i|_2 with o' the output of attention renormalised over the other keys. With o_S, o_R, m_S, m_R the
    unnormalised output and the mass of hidden and other keys: o - o' = o_S - (m_S / m_R) o_R, so that a head that does
    not look at the keys gets 0 and not a rounding error. A query that sees nothing else is left with zeros.

    Our p, v: the attention weights [B, H, Q, K] and values. Gives [B, H, Q].

    Raises CallError if a key does not exist. Source: He et al. 2024, "Cracking the Code of Hallucination in LVLMs with
    Vision-aware Head Divergence".

    >>> import regard as rg, torch
    >>> from regard.core.call import Call, Rows
    >>> p, v = torch.tensor([[[[0.5, 0.5], [0.0, 1.0]]]]), torch.tensor([[[[3.0, 4.0], [0.0, 0.0]]]])
    >>> call = Call("attn", 0, "hand", v=v, weights=p)
    >>> rg.probes.divergence(Rows(start=0, logits=p.log(), probs=p, queries=2), call, keys=(0,))
    tensor([[[2.5000, 0.0000]]])
    """
    check_indices("key", keys, rows.probs.shape[-1])
    hidden = torch.zeros(rows.probs.shape[-1], dtype=torch.bool, device=rows.probs.device)
    hidden[list(keys)] = True
    v = call.values_per_head.to(rows.probs)
    of_hidden, of_rest = rows.probs * hidden, rows.probs * ~hidden
    mass, rest = of_hidden.sum(-1, keepdim=True), of_rest.sum(-1, keepdim=True)
    ratio = torch.where(rest > 0, mass / rest, torch.zeros_like(rest))
    return torch.linalg.vector_norm(of_hidden @ v - ratio * (of_rest @ v), dim=-1)
