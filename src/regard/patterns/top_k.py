"""Top k: each query sees the keys that it matches best."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.errors import LayoutError
from regard.patterns._pattern import BLOCK, Held, Listed, Pattern
from regard.patterns._space import Place, as_space, check_operands
from regard.registry import method


@method(
    "patterns",
    paper="explicit-sparse-transformer",
    claim="k = all keys is dense; every row has exactly k keys, and no other key has a higher logit",
    source="section 3: explicit selection, eq. 2-4",
    needs=(),
    differs="of equal logits at the border exactly so many are kept that there are k",
    unit="pairs",
)
def top_k(q: Tensor, k: Tensor, keep: int = 16, queries: Place | None = None, keys: Place | None = None) -> Pattern:
    """The `keep` keys with the highest q . k, for each query, head and picture.

    q `[B, H, Q, D]`, k `[B, Hk, K, D]` with Hk dividing H. A block of rows at a time; only places are held,
    `[B, H, Q, keep]`. queries, keys: where tokens lie, for plots and prefixes; if not given, in a row.

    Raises LayoutError for shapes that do not fit or keep outside 1 .. K. Source: Zhao et al. 2019, "Explicit Sparse
    Transformer".

    >>> import regard as rg, torch
    >>> q = k = torch.eye(4)[None, None]
    >>> rg.patterns.top_k(q, k, keep=1).mask()[0, 0].equal(torch.eye(4).bool())
    True
    """
    space, other = (
        as_space(q.shape[-2] if queries is None else queries),
        as_space(k.shape[-2] if keys is None else keys),
    )
    check_operands(q, k, space, other)
    if not 1 <= keep <= other.body:
        raise LayoutError(f"keep = {keep} of {other.body} keys", hint=f"1 .. {other.body}")
    with torch.no_grad():
        q, k = q[:, :, space.prefix :], k.repeat_interleave(q.shape[1] // k.shape[1], 1)[:, :, other.prefix :]
        step = max(1, BLOCK // (q.shape[0] * q.shape[1] * other.body))
        places = [(part @ k.mT).topk(keep, -1).indices for part in q.split(step, 2)]
    rule = Listed(Held(torch.cat(places, 2)), other.body)
    return Pattern(f"top_k({space}, {keep})", space, other, rule, lead=(q.shape[0], q.shape[1]))
