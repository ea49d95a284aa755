"""What edits share: which heads, keys and queries they touch, as tensors that broadcast over a call."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from regard.core.call import Call
from regard.errors import EditError

Heads = int | Sequence[int] | Tensor | None  # indices or a bool mask; None: all
Tokens = Sequence[int] | Tensor | None  # indices, or a bool mask; None: all

Numbers = float | Sequence[float] | Tensor  # one for all chosen heads, or one for each

PerHeadGain = Float[Tensor, "1 h 1 1"]


def numbers(given: object, what: str) -> float | Tensor:
    """One number, or a tensor of them, of what an edit was given as its `what`."""
    if isinstance(given, Tensor) or (isinstance(given, float | int) and not isinstance(given, bool)):
        return given
    try:
        if isinstance(given, bool):
            raise TypeError("true or false is no number")
        return torch.tensor(given, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise EditError(f"a {what} of {given!r}", hint="one number, or one for each chosen head") from error


def above_zero(given: object, what: str, hint: str) -> float | Tensor:
    """The same, where all of them have to be finite and above 0."""
    made = numbers(given, what)
    ends = (float(made.detach().min()), float(made.detach().max())) if isinstance(made, Tensor) else (made, made)
    for end in ends:
        if not 0 < end < math.inf:
            raise EditError(f"a {what} of {end}", hint=hint)
    return made


def shown(given: float | Tensor) -> float | list[int]:
    """How an edit's name tells its numbers."""
    return list(given.shape) if isinstance(given, Tensor) else given


def on_heads(call: Call, heads: Heads, value: float | Tensor, otherwise: float) -> PerHeadGain:
    """value on chosen heads and another number on the rest; a tensor holds one value for each chosen head."""
    count = call.heads
    chosen = list(range(count)) if heads is None else [heads] if isinstance(heads, int) else list(heads)
    if chosen and all(isinstance(h, bool) or getattr(h, "dtype", None) == torch.bool for h in chosen):
        if len(chosen) != count:
            raise EditError(f"a mask of {len(chosen)} for {count} heads at {call.site}", hint="a bool for each head")
        chosen = [at for at, there in enumerate(chosen) if there]
    wrong = [h for h in chosen if not 0 <= h < count]
    if wrong:
        raise EditError(f"no head {wrong[0]} at {call.site}: it has {count}", hint=f"0 .. {count - 1}")
    device = call.device
    exact = torch.float32 if device.type == "mps" else torch.float64  # numbers are rounded to the call's type last
    given = value if isinstance(value, Tensor) else torch.tensor(value, dtype=exact, device=device)
    if given.ndim > 1 or given.numel() not in (1, len(chosen)):
        raise EditError(f"{list(given.shape)} values for {len(chosen)} heads", hint="one number, or one for each head")
    at = torch.tensor(chosen, dtype=torch.long, device=device)
    rest = torch.full((count,), otherwise, dtype=given.dtype, device=device)
    return rest.index_put((at,), given.expand(len(chosen))).view(1, -1, 1, 1)


def chosen_heads(call: Call, heads: Heads) -> Tensor:
    """True on chosen heads, `[1, H, 1, 1]`."""
    return on_heads(call, heads, 1.0, 0.0) > 0


def members(call: Call, tokens: Tokens, side: str) -> Tensor:
    """True on chosen keys or queries of a call, as a vector."""
    count = call.keys if side == "key" else call.queries
    if tokens is None:
        return torch.ones(count, dtype=torch.bool, device=call.device)
    if isinstance(tokens, Tensor) and tokens.dtype == torch.bool:
        if tokens.shape != (count,):
            raise EditError(
                f"a mask of {list(tokens.shape)} for {count} tokens at {call.site}", hint=f"a bool for each {side}"
            )
        return tokens.to(call.device)
    at = torch.as_tensor(tokens, dtype=torch.long)
    wrong = at[(at < -count) | (at >= count)]
    if len(wrong):
        raise EditError(f"no {side} {int(wrong[0])} at {call.site}: it has {count}", hint=f"{-count} .. {count - 1}")
    mask = torch.zeros(count, dtype=torch.bool)
    mask[at] = True
    return mask.to(call.device)


def check_share(name: str, value: float) -> None:
    """A share lies between 0 and 1."""
    if not 0.0 <= value <= 1.0:
        raise EditError(f"{name} = {value} is no share", hint="0 (nothing changes) .. 1")


def told(heads: Heads) -> str:
    """How an edit's name tells its heads."""
    if heads is None:
        return ""
    listed = heads.tolist() if isinstance(heads, Tensor) else [heads] if isinstance(heads, int) else list(heads)
    return f", heads={listed}"
