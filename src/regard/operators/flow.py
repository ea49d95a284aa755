"""Flow attention: linear attention whose sources compete and whose sinks allocate, by conservation of flow."""

from __future__ import annotations

import torch
from torch import Tensor

from regard.operators._scan import scan
from regard.operators._shared import Form, Keys, Output, Queries, Values, check, step_of
from regard.registry import method


@method(
    "operators",
    paper="flow-attention",
    claim="equals the quadratic form; normalised in- and outflows are 1; the causal form sees no future",
    source="the paper's conservation, competition and allocation; the released formulas, causal ones too",
    needs={"q", "k", "v"},
    differs="as released: competition sums to K instead of 1, and logits of the competition lie in [-1, 1]",
    unit="values",
    kinds="self, causal self, cross",
)
def flow(
    q: Queries, k: Keys, v: Values, *, causal: bool = False, form: Form = "chunked", chunk: int = 64, eps: float = 1e-6
) -> Output:
    """Linear attention with competition among sources and allocation among sinks, without a locality prior.

    With a = sigmoid(q), c = sigmoid(k): incoming I_i = a_i . sum c_j, outgoing O_j = c_j . sum a_i; conserved,
    I'_i = a_i . sum c_j / O_j and O'_j = c_j . sum a_i / I_i. Then
    out_i = sigmoid(I'_i) a_i / I_i . sum_j c_j (K softmax_j(O'_j) v_j). causal: all sums over j <= i (and I', O' are
    divided by the position), at the cost of cumulative sums.

    q [B, H, Q, D], k [B, H, K, D], v [B, H, K, E]; gives [B, H, Q, E]. The paper's R. eps: added before divisions.

    Raises LayoutError where shapes do not fit, or where causal and Q != K. Source: Wu et al. 2022, "Flowformer:
    Linearizing Transformers with Conservation Flows".

    >>> import regard as rg, torch
    >>> rg.operators.flow(torch.zeros(1, 1, 4, 2), torch.zeros(1, 1, 4, 2), torch.ones(1, 1, 4, 1)).flatten()
    tensor([0.7311, 0.7311, 0.7311, 0.7311])
    """
    check(q, k, v, same_count=causal)
    a, c = torch.sigmoid(q), torch.sigmoid(k)
    if causal:
        return _causal(a, c, v, step_of(form, chunk, q.shape[2]), eps)
    incoming = _read(a, c.sum(2, keepdim=True), eps)
    outgoing = _read(c, a.sum(2, keepdim=True), eps)
    allocation = torch.sigmoid(_read(a, (c / outgoing).sum(2, keepdim=True), eps) * (q.shape[2] / k.shape[2]))
    conserved = _read(c, (a / incoming).sum(2, keepdim=True), eps).clamp(-1, 1)
    competition = torch.softmax(conserved, 2) * k.shape[2]
    return (a / incoming) @ (c.mT @ (v * competition)) * allocation


def _causal(a: Tensor, c: Tensor, v: Tensor, step: int, eps: float) -> Tensor:
    place = torch.arange(1, a.shape[2] + 1, dtype=a.dtype, device=a.device).view(-1, 1)
    incoming = _read(a, c.cumsum(2), eps)
    outgoing = _read(c, a.cumsum(2), eps)
    allocation = torch.sigmoid(_read(a, (c / outgoing).cumsum(2), eps) / place)
    strength = (_read(c, (a / incoming).cumsum(2), eps) / place).clamp(-1, 1).exp()
    competition = strength / strength.cumsum(2) * place
    return scan(a / incoming, c, v * competition, None, step) * allocation


def _read(x: Tensor, total: Tensor, eps: float) -> Tensor:
    """Products of each row with a total, kept as a column."""
    return ((x + eps) * (total + eps)).sum(-1, keepdim=True)
