"""Relevance: which tokens one output token rests on, through all layers, in one backward."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from regard.core.call import Rows, Summed
from regard.errors import CallError
from regard.registry import method


@method(
    "probes",
    paper="chefer-generic",
    claim="the query's row of the explicit product of I + mean_h (grad A * A)+ over the layers",
    source="eqs. 5 and 6: R <- R + A R for self-attention",
    needs={"rows", "gradient", "carry"},
    differs="only the wanted row is kept, from the last layer to the first as backward visits them: O(N), not O(N^2)",
    unit="relevance",
)
def relevance(
    rows: Rows, gradient: Float[Tensor, "b h rows k"], carry: Float[Tensor, "b h q"] | None = None, *, query: int = 0
) -> Summed:
    """Relevance of every token for one output token, after this layer and those above it.

    r <- r + r mean_h max(0, A_h dL/dA_h), r starting as the unit row of `query` at the last layer. Gives [B, H, K]:
    what each head makes of it, so the row is the mean over heads; that of the first call is the relevance of the
    input. Filled by `record.backward(score)`, of self-attention calls of one length.

    Raises CallError for another number of keys than queries, or than in the layer above.
    Source: Chefer, Gur and Wolf 2021, "Generic Attention-model Explainability", eqs. 5 and 6.

    >>> import regard as rg
    >>> m = rg.model("random:vit_tiny_patch16_224")
    >>> with rg.watch(m, keep="relevance") as rec:
    ...     rec.backward(m(rg.image("sample:coffee", like=m))[:, 7])
    >>> rec["blocks.0.attn"]["relevance"].mean(1).shape
    torch.Size([1, 197])
    """
    keys = rows.probs.shape[-1]
    if rows.queries != keys or (carry is not None and carry.shape[-1] != keys):
        above = "" if carry is None else f", and {carry.shape[-1]} in the layer above"
        raise CallError(
            f"relevance goes through self-attention of one length; here are {rows.queries} queries, {keys} keys{above}",
            hint="choose the sites: watch(model, 'blocks.*', keep='relevance')",
        )
    if not -keys <= query < keys:
        raise CallError(f"no query {query}: the call has {keys}", hint=f"{-keys} .. {keys - 1}")
    if carry is None:
        row = torch.zeros(rows.probs.shape[0], keys, dtype=rows.probs.dtype, device=rows.probs.device)
        row[:, query] = 1.0
    else:
        row = carry.mean(1)
    here = row[:, None, rows.start : rows.stop]
    passed = torch.einsum("bhq,bhqk->bhk", here.expand(*rows.probs.shape[:3]), (rows.probs * gradient).clamp_min(0))
    passed[:, :, rows.start : rows.stop] += here
    return passed
