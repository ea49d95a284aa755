"""Gate gradient: how much the score would change if a head were turned up."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from regard.core.call import Rows, Summed
from regard.registry import method


@method(
    "probes",
    paper="sixteen-heads",
    claim="equals the gradient of a gate on the head, and the inner product of the head's output and its gradient",
    source="section 4.1: proxy importance score, eq. 3 without the absolute value",
    needs={"rows", "gradient"},
    differs="signed, for each picture: the absolute value and the mean over a data set are the reader's",
    unit="score",
)
def gate_gradient(rows: Rows, gradient: Float[Tensor, "b h rows k"]) -> Summed:
    """Derivative of the score with respect to a gate that multiplies a head's output.

    g_h = sum_ij p_ij dL/dp_ij = <o_h, dL/do_h>. Gives [B, H]; the paper's importance is the mean of |g_h|.

    Our p, gradient: the attention weights and the score's gradient with respect to them [B, H, Q, K]; filled by
    `record.backward(score)`. Source: Michel et al. 2019, "Are Sixteen Heads Really Better than One?", section 4.1.

    >>> import regard as rg
    >>> m = rg.model("random:vit_tiny_patch16_224")
    >>> with rg.watch(m, keep="gate_gradient") as rec:
    ...     rec.backward(m(rg.image("sample:coffee", like=m))[:, 7])
    >>> rec["blocks.11.attn"]["gate_gradient"].shape
    torch.Size([1, 3])
    """
    return (rows.probs * gradient).sum((2, 3))
