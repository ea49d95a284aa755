"""Positive gradient: which keys would raise the score if they were looked at more."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from regard.core.call import Rows, Summed
from regard.registry import method


@method(
    "probes",
    paper="legrad",
    claim="equals the column means of the attention's retained gradient, clipped at zero",
    source="section 3.2: explainability map of one layer",
    needs={"rows", "gradient"},
    differs="queries are averaged here, heads are not",
    unit="score",
)
def positive_gradient(rows: Rows, gradient: Float[Tensor, "b h rows k"]) -> Summed:
    """Positive part of the gradient of attention, averaged over the queries.

    g_j = (1/Q) sum_i max(0, dL/dp_ij). Gives [B, H, K]; filled by `record.backward(score)`.

    Source: Bousselham et al. 2024, "LeGrad: An Explainability Method for Vision Transformers".

    >>> import regard as rg
    >>> m = rg.model("random:vit_tiny_patch16_224")
    >>> with rg.watch(m, "blocks.11.attn", keep="positive_gradient") as rec:
    ...     rec.backward(m(rg.image("sample:coffee", like=m))[:, 7])
    >>> rec["blocks.11.attn"]["positive_gradient"].shape
    torch.Size([1, 3, 197])
    """
    return gradient.clamp_min(0).sum(2) / rows.queries
