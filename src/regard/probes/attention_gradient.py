"""The gradient of chosen attention rows itself, without the attention."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from regard.core.call import Rows, Summed
from regard.errors import CallError
from regard.registry import method


@method(
    "probes",
    paper="beyond-intuition",
    claim="equals autograd's gradient of an explicit attention matrix",
    source="the attention gradient of which the reasoning feedback is made",
    needs={"rows", "gradient"},
    differs="chosen rows, each head, signed",
    unit="score",
)
def attention_gradient(rows: Rows, gradient: Float[Tensor, "b h rows k"], *, queries: tuple[int, ...] = (0,)) -> Summed:
    """Gradient of the score with respect to attention, for chosen queries.

    g_qj = dL/dp_qj for q in `queries`. Gives [B, H, len(queries), K]; filled by `record.backward(score)`.

    Raises CallError if a query does not exist. Source: Chen et al. 2023, "Beyond Intuition: Rethinking Token
    Attributions inside Transformers".

    >>> import regard as rg
    >>> m = rg.model("random:vit_tiny_patch16_224")
    >>> with rg.watch(m, "blocks.11.attn", keep="attention_gradient") as rec:
    ...     rec.backward(m(rg.image("sample:coffee", like=m))[:, 7])
    >>> rec["blocks.11.attn"]["attention_gradient"].shape
    torch.Size([1, 3, 1, 197])
    """
    count = rows.queries
    wrong = [q for q in queries if not -count <= q < count]
    if wrong:
        raise CallError(f"no query {wrong[0]}: the call has {count}", hint=f"{-count} .. {count - 1}")
    picked = gradient.new_zeros(*gradient.shape[:2], len(queries), gradient.shape[-1])
    for at, query in enumerate(q % count for q in queries):
        if rows.start <= query < rows.stop:
            picked[:, :, at] = gradient[:, :, query - rows.start]
    return picked
