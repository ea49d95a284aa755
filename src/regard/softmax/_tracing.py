"""Whether torch transforms what runs, and how to compute plans beside its tracing."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor
from torch.utils._python_dispatch import _disable_current_modes


def transformed() -> bool:
    """Whether torch.func's transforms (grad, vmap, jacrev, ...) are at work."""
    return torch._C._are_functorch_transforms_active()


def outside() -> AbstractContextManager[object]:
    """Tensors made in here are real, also while torch traces: for plans, which are kept."""
    return _disable_current_modes()


def constant(x: Tensor) -> Tensor:
    """A tensor made outside, as a constant of the graph that is traced, if one is; else itself."""
    made: Tensor = torch.ops.aten.lift_fresh_copy(x) if torch._C._len_torch_dispatch_stack() else x
    return made


def plain(size: int | torch.SymInt) -> int:
    """A size as a number for plans, which may suit it more or less: a graph for any size is not tied to this one."""
    return size if isinstance(size, int) else int(size.node.hint or 1)
