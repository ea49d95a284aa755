"""Attention x gradient of chosen queries: which of the keys they look at matter for the score."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from regard.core.call import Rows, Summed
from regard.errors import CallError
from regard.registry import method


@method(
    "probes",
    paper="lvlms-saliency",
    claim="equals attention times its retained gradient, and finite differences of the score",
    source="token saliency: attention times its gradient",
    needs={"rows", "gradient"},
    differs="signed and for each head: clipping and the mean over heads are the reader's",
    unit="score",
)
def gradient_row(rows: Rows, gradient: Float[Tensor, "b h rows k"], *, queries: tuple[int, ...] = (0,)) -> Summed:
    """Attention times its gradient, for chosen queries.

    g_qj = p_qj dL/dp_qj for q in `queries`; query 0 is CLS where a model has one, -1 the last (the row that a
    decoder reads). Gives [B, H, len(queries), K]; filled by `record.backward(score)`.

    Raises CallError if a query does not exist. Source: "Hallucination Begins Where Saliency Drops".

    >>> import regard as rg
    >>> m = rg.model("random:vit_tiny_patch16_224")
    >>> with rg.watch(m, "blocks.11.attn", keep="gradient_row") as rec:
    ...     rec.backward(m(rg.image("sample:coffee", like=m))[:, 7])
    >>> rec["blocks.11.attn"]["gradient_row"].shape
    torch.Size([1, 3, 1, 197])
    """
    count = rows.queries
    wrong = [q for q in queries if not -count <= q < count]
    if wrong:
        raise CallError(f"no query {wrong[0]}: the call has {count}", hint=f"{-count} .. {count - 1}")
    picked = rows.probs.new_zeros(*rows.probs.shape[:2], len(queries), rows.probs.shape[-1])
    for at, query in enumerate(q % count for q in queries):
        if rows.start <= query < rows.stop:
            picked[:, :, at] = rows.probs[:, :, query - rows.start] * gradient[:, :, query - rows.start]
    return picked
