"""Identity mix: queries that look at themselves."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from regard.core.call import Call, Rule
from regard.core.edit import Edit
from regard.edits._shared import Heads, check_share, on_heads, told
from regard.errors import EditError
from regard.registry import method


@method(
    "edits",
    paper="headhunter-softpag",
    claim="0 is the identity, 1 is exact identity attention, other heads are untouched",
    source="SoftPAG: A' = (1 - u) A + u I",
    needs={"v", "out"},
    differs="none",
    unit="share of attention",
)
def identity(strength: float = 1.0, heads: Heads = None) -> Edit:
    """Mix the attention of heads with the identity matrix (perturbed-attention guidance where it is all).

    P <- (1 - u) P + u I, so o <- (1 - u) o + u v: a closed form. Needs as many keys as queries.

    Raises EditError for a strength outside 0 .. 1, or for a call with other keys than queries.
    Source: "Fine-Grained Perturbation Guidance via Attention Head Selection" (SoftPAG).

    >>> import regard as rg
    >>> rg.edits.identity(0.3, heads=[1])
    identity(0.3, heads=[1])
    """
    check_share("strength", strength)

    def change(call: Call) -> Call:
        if call.given is None and call.queries != call.keys:
            raise EditError(
                f"{call.site} has {call.queries} queries and {call.keys} keys: there is no identity",
                hint="self-attention only; select=... leaves others out",
            )
        mix = on_heads(call, heads, strength, 0.0)

        def rows(probs: Tensor, start: int, _: Call) -> Tensor:
            own = torch.eye(call.queries, dtype=probs.dtype, device=probs.device)[start : start + probs.shape[2]]
            return torch.lerp(probs, own, mix.to(probs))  # exact at 0 and at 1

        def closed(before: Call, product: Callable[[Tensor], Tensor]) -> Tensor:
            out, v = product(before.values), before.values_per_head
            return torch.lerp(out, v.to(out), mix.to(out))

        return call.with_rule(Rule(rows, closed)) if strength else call

    return Edit(f"identity({strength}{told(heads)})", change)
