"""transformers' own switch: while a model is open, attention that hides in flash or flex kernels runs as SDPA.

Nothing is registered with transformers: an attention function of a custom name without a mask function of its own
would drop padding masks without a word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

HIDDEN = ("flash", "flex", "kernels")  # how the names of implementations begin that a mode cannot look into


def prepare(model: nn.Module) -> Callable[[], None] | None:
    """Switch what is hidden to `sdpa`; gives how to restore it, or None where nothing had to be switched."""
    before: list[tuple[Any, str]] = []
    for module in model.modules():
        config = getattr(module, "config", None)
        name = getattr(config, "_attn_implementation", None)
        if isinstance(name, str) and name.startswith(HIDDEN):
            assert config is not None
            before.append((config, name))
            config._attn_implementation = "sdpa"

    def restore() -> None:
        for config, name in before:
            config._attn_implementation = name

    return restore if before else None
