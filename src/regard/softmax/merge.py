"""`merge`: attention over several sets of keys, from attention over each."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def merge(
    out: Float[Tensor, "*lead q dv"],
    lse: Float[Tensor, "*lead q"],
    other: Float[Tensor, "*lead q dv"],
    other_lse: Float[Tensor, "*lead q"],
) -> tuple[Float[Tensor, "*lead q dv"], Float[Tensor, "*lead q"]]:
    """Attention over the union of two disjoint sets of keys, from the output and log sum exp of each.

    lse = log(e^a + e^b), out = e^(a - lse) o_a + e^(b - lse) o_b. A part without keys (lse = -inf) is neutral; of two
    such parts nothing comes: zeros and -inf. Associative and commutative up to rounding.

    >>> import torch
    >>> from regard.softmax.merge import merge
    >>> merge(torch.zeros(1, 1), torch.zeros(1), torch.ones(1, 1), torch.zeros(1))[0]
    tensor([[0.5000]])
    """
    blind = (lse == float("-inf")) & (other_lse == float("-inf"))
    top = torch.maximum(lse, other_lse).detach().masked_fill(blind, 0.0)
    weights = [(one - top).exp() for one in (lse, other_lse)]  # of a part without keys: 0, and so is its gradient
    total = (weights[0] + weights[1]).masked_fill(blind, 1.0)
    mixed = (weights[0] / total)[..., None] * out + (weights[1] / total)[..., None] * other
    return mixed.to(out.dtype), (top + total.log()).masked_fill(blind, float("-inf"))
