"""Attention x gradient that keys receive: which keys matter for the score, whoever looks at them."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from regard.core.call import Rows, Summed
from regard.registry import method


@method(
    "probes",
    paper="chefer-generic",
    claim="equals the column means of attention times its retained gradient, clipped at zero",
    source="eq. 5: (grad A * A)+, averaged over queries",
    needs={"rows", "gradient"},
    differs="queries are averaged here, heads are not",
    unit="score",
)
def gradient_received(rows: Rows, gradient: Float[Tensor, "b h rows k"]) -> Summed:
    """Positive part of attention times its gradient, averaged over the queries.

    g_j = (1/Q) sum_i max(0, p_ij dL/dp_ij). Gives [B, H, K]; filled by `record.backward(score)`.

    Source: Chefer, Gur and Wolf 2021, "Generic Attention-model Explainability", eq. 5.

    >>> import regard as rg
    >>> m = rg.model("random:vit_tiny_patch16_224")
    >>> with rg.watch(m, "blocks.11.attn", keep="gradient_received") as rec:
    ...     rec.backward(m(rg.image("sample:coffee", like=m))[:, 7])
    >>> rec["blocks.11.attn"]["gradient_received"].shape
    torch.Size([1, 3, 197])
    """
    return (rows.probs * gradient).clamp_min(0).sum(2) / rows.queries
