"""Gated linear attention: a causal state that each token lets fade, channel by channel."""

from __future__ import annotations

from torch import Tensor

from regard.errors import LayoutError
from regard.operators._scan import scan
from regard.operators._shared import Form, Keys, Output, Queries, Values, check, check_float, scale_of, step_of
from regard.registry import method


@method(
    "operators",
    paper="gla",
    claim="recurrent, chunked and parallel agree; gates of 1 are causal linear attention",
    source="the paper's recurrence with data-dependent gates",
    needs={"q", "k", "v", "gate"},
    differs="gates are given as logarithms; one a token and channel, or one a token",
    unit="values",
    kinds="causal self",
)
def gated_linear(
    q: Queries, k: Keys, v: Values, gate: Tensor, *, scale: float | None = None, form: Form = "chunked", chunk: int = 16
) -> Output:
    """S_t = diag(g_t) S_{t-1} + k_t v_t^T, out_t = scale q_t S_t.

    gate: log g_t <= 0, [B, H, N, D], or [B, H, N, 1] for one gate a token (Mamba-2, GateLoop).
    scale: 1 / sqrt(D) unless given. The chunked form holds chunk^2 D numbers where gates differ between channels.

    q, k [B, H, N, D], v [B, H, N, E]; gives [B, H, N, E].

    Raises LayoutError where shapes do not fit, or a gate is above 1. Source: Yang et al. 2024, "Gated Linear
    Attention Transformers with Hardware-Efficient Training".

    >>> import regard as rg, torch
    >>> one = torch.ones(1, 1, 3, 1)
    >>> rg.operators.gated_linear(one, one, one, torch.tensor([0.5, 0.5, 0.0]).log().view(1, 1, 3, 1)).flatten()
    tensor([1.0000, 1.5000, 1.0000])
    """
    check(q, k, v, same_count=True)
    check_float("gate", gate)
    if gate.shape[:3] != q.shape[:3] or gate.shape[3] not in (1, q.shape[3]):
        raise LayoutError(f"gate {list(gate.shape)} for k {list(k.shape)}", hint="[B, H, N, D], or [B, H, N, 1]")
    if bool((gate > 0).any()):
        raise LayoutError(f"a log gate of {float(gate.max()):.3g}", hint="log g <= 0, as from logsigmoid")
    gate = gate.clamp_min(-80.0)  # e^-80 is 0 beside any value, and -inf - -inf would be NaN
    return scan(q * scale_of(q, scale), k, v, gate, step_of(form, chunk, q.shape[2]))
