"""Head similarity: which heads of a layer do the same."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from regard.core.call import Rows, Summed
from regard.errors import MethodError
from regard.registry import method


@method(
    "probes",
    paper="clark-heads",
    claim="1 between heads that are alike, 0 between heads that share no key",
    source="section 6: Jensen-Shannon divergences between heads' attention, before clustering",
    needs={"rows"},
    differs="a mean over queries instead of a sum; 1 - divergence in bits, so that alike is 1; cosine unless asked",
    unit="similarity",
)
def head_similarity(rows: Rows, *, by: str = "cosine") -> Summed:
    """Similarity of each two heads of a call: how alike the same query looks in both, on average.

    S_gh = mean_i s(p^g_i, p^h_i). by "cosine": s(p, q) = p.q / |p||q|. by "js": s(p, q) = 1 - JS(p, q) with
    JS = H((p + q) / 2) - (H(p) + H(q)) / 2 the Jensen-Shannon divergence in bits, 0 .. 1. A query that is
    wholly masked in one of the two is not alike: it counts 0.

    Our p: the attention weights [B, H, Q, K]. Gives [B, H, H], symmetric, 0 .. 1. Raises MethodError for
    another `by`. Source: Clark et al. 2019, "What Does BERT Look At?", section 6.

    >>> import regard as rg, torch
    >>> from regard.core.call import Rows
    >>> p = torch.tensor([[[[1.0, 0.0]], [[0.0, 1.0]], [[0.5, 0.5]]]])
    >>> rg.probes.head_similarity(Rows(start=0, logits=p.log(), probs=p, queries=1, masked=True))
    tensor([[[1.0000, 0.0000, 0.7071],
             [0.0000, 1.0000, 0.7071],
             [0.7071, 0.7071, 1.0000]]])
    """
    if by not in _BY:
        raise MethodError.unknown("similarity", by, _BY, see=f"one of {', '.join(_BY)}")
    return _BY[by](rows.probs) / rows.queries


def _cosine(probs: Float[Tensor, "b h rows k"]) -> Float[Tensor, "b h h"]:
    """Query by query: one product over queries and keys would sum too many numbers in a row for float32."""
    unit = torch.nn.functional.normalize(probs, dim=-1).transpose(1, 2)
    return (unit @ unit.mT).sum(1)


def _js(probs: Float[Tensor, "b h rows k"]) -> Float[Tensor, "b h h"]:
    """One head against those from it on at a time, so that no more is held than a block."""
    alone, some = _bits(probs), probs.sum(-1) > 0
    similar = probs.new_zeros(*probs.shape[:2], probs.shape[1])
    for g in range(probs.shape[1]):
        divergence = _bits((probs[:, g : g + 1] + probs[:, g:]) / 2) - (alone[:, g : g + 1] + alone[:, g:]) / 2
        both = some[:, g : g + 1] & some[:, g:]
        similar[:, g, g:] = similar[:, g:, g] = ((1 - divergence.clamp(0, 1)) * both).sum(-1)
    return similar


def _bits(probs: Float[Tensor, "b h rows k"]) -> Float[Tensor, "b h rows"]:
    return torch.special.entr(probs).sum(-1) / math.log(2)


_BY = {"cosine": _cosine, "js": _js}
