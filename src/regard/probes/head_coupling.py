"""Head coupling: attention, transposed, times its gradient: how keys act on the score through shared queries."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from regard.core.call import Rows, Summed
from regard.registry import method


@method(
    "probes",
    paper="beyond-intuition",
    claim="equals the explicit product of a transposed attention matrix and its gradient",
    source="the head-wise weights of attention perception",
    needs={"rows", "gradient"},
    differs="the mean of its absolute values, which weighs a head, is the reader's",
    unit="score",
)
def head_coupling(rows: Rows, gradient: Float[Tensor, "b h rows k"]) -> Summed:
    """Product of the transposed attention and its gradient.

    c_jk = sum_i p_ij dL/dp_ik. Gives [B, H, K, K], so watch few sites; filled by `record.backward(score)`.

    Source: Chen et al. 2023, "Beyond Intuition: Rethinking Token Attributions inside Transformers".

    >>> import regard as rg
    >>> m = rg.model("random:vit_tiny_patch16_224")
    >>> with rg.watch(m, "blocks.11.attn", keep="head_coupling") as rec:
    ...     rec.backward(m(rg.image("sample:coffee", like=m))[:, 7])
    >>> rec["blocks.11.attn"]["head_coupling"].shape
    torch.Size([1, 3, 197, 197])
    """
    return rows.probs.mT @ gradient
