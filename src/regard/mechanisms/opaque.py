"""Fused kernels of other packages: seen by name, not read. They are told of, so that none goes by in silence."""

from __future__ import annotations

from typing import Any

from torch._ops import OpOverload, OpOverloadPacket

PACKAGES = ("flash_attn", "flash_attn_3", "xformers", "torch_attn", "sageattention", "vllm_flash_attn")


def opaque(func: Any) -> str | None:
    """The name of a custom op that is attention of one of these packages, or None."""
    if isinstance(func, OpOverload):
        name = func.name()
    elif isinstance(func, OpOverloadPacket):
        name = func._qualified_op_name
    else:
        return None
    package = name.partition("::")[0]
    return name if package.startswith(PACKAGES) and "backward" not in name and "bwd" not in name else None
