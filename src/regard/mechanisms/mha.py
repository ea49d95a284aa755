"""`nn.MultiheadAttention`: a composite function whose inner SDPA a mode does not see by itself.

While a mode handles `F.multi_head_attention_forward` it is switched off, so the attention inside
would be missed; calling the same function with the mode back on would only recurse. The clone below
is the function's own code in a copy of its globals where `has_torch_function` says no, so it runs
straight through to the SDPA call, which the mode then sees. Nothing is re-implemented.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from torch.nn import functional as F


def _clone() -> Callable[..., Any]:
    original = F.multi_head_attention_forward
    world = {**F.__dict__, "has_torch_function": lambda *_: False}
    clone = types.FunctionType(original.__code__, world, original.__name__, original.__defaults__, original.__closure__)
    clone.__kwdefaults__ = original.__kwdefaults__
    return clone


OPENS: dict[Callable[..., Any], Callable[..., Any]] = {F.multi_head_attention_forward: _clone()}
