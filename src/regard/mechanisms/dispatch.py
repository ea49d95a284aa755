"""`Dispatched`: counts the attention that torch really dispatches, whichever way it was asked for.

A function mode sees what Python calls by name; torch.jit and other compiled code go past it. Below it, every
kernel passes the dispatcher, and attention passes as one of few ops: the softmax of attention made by hand, or
a fused op. Each stands for one attention call, because a mode is off while an op that it was shown runs: where
`scaled_dot_product_attention` falls back to matmuls in Python's sight, its one `_safe_softmax` is what is shown;
where it is a kernel, the kernel is. Under inference_mode composite ops arrive whole, under their own names.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

SOFTMAXES = frozenset({"softmax", "_softmax", "_safe_softmax"})
FUSED = (
    "scaled_dot_product_attention",
    "_scaled_dot_product_",
    "_efficient_attention_",
    "_flash_attention_",
    "_native_multi_head_attention",
    "_transformer_encoder_layer_",
)


def attends(name: str) -> bool:
    """Whether an op, by its bare name, is a softmax or a fused attention; gradients of one are not."""
    return name in SOFTMAXES or (name.startswith(FUSED) and "backward" not in name)


class Dispatched(TorchDispatchMode):
    """While active, `counts` has each op that attends, by its bare name. Log-softmaxes are losses, and not counted."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.__name__.partition(".")[0]  # without the overload
        if attends(name):
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))

    @property
    def total(self) -> int:
        return sum(self.counts.values())
