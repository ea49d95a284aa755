"""`attend`: softmax attention under a pattern, by the implementation that was asked for or the one that costs least."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from regard.errors import CallError, DegenerateError, LayoutError, MethodError
from regard.patterns._pattern import Pattern
from regard.patterns.dense import dense as every_pair
from regard.softmax import _ops
from regard.softmax._geometry import cost, geometries
from regard.softmax._problem import Bias, Problem, RelativeTable, problem
from regard.softmax._tracing import outside, plain, transformed
from regard.softmax.composite import composite
from regard.softmax.dense import dense, everything
from regard.softmax.flex import flex
from regard.softmax.native import native
from regard.softmax.natten import natten
from regard.softmax.reference import reference
from regard.softmax.tiled import tiled
from regard.softmax.triton import triton

Impl = Literal["auto", "reference", "composite", "tiled", "native", "dense", "flex", "triton", "natten"]

IMPLS: Mapping[str, Callable[[Problem], tuple[Tensor, Tensor | None]]] = {
    "reference": reference, "composite": composite, "tiled": tiled, "native": native,
    "dense": dense, "flex": flex, "triton": triton, "natten": natten,
}  # fmt: skip
PLAIN = ("composite", "reference")  # made of torch's own ops
# Measured on a CPU, in pairs of a long row with a mask: a pair in a tile, a call, and a query where boxes are joined.
DEARER, PER_CALL, JOINED = 1.1, 150_000, 600


@dataclass(frozen=True)
class Attended:
    """out `[B, H, Q, Dv]`, lse `[B, H, Q]`: log sum exp of the logits that were seen; impl: which made it, and why.

    A query that sees nothing has zeros and -inf. Reading lse raises CallError where the implementation has none
    (`flex` on a CPU).
    """

    out: Tensor
    _lse: Tensor | None
    impl: str
    why: str

    @property
    def lse(self) -> Tensor:
        if self._lse is None:
            raise CallError(f"{self.impl} gives no log sum exp on {self.out.device}", hint="impl='tiled' or 'dense'")
        return self._lse

    def __repr__(self) -> str:
        return f"Attended({list(self.out.shape)}, {self.impl}: {self.why})"


def attend(
    q: Tensor, k: Tensor, v: Tensor, *, pattern: Pattern | None = None, bias: Bias | None = None,
    scale: float | None = None, mask: Tensor | None = None, extra_kv: tuple[Tensor, Tensor] | None = None,
    sink: Tensor | None = None, impl: str = "auto",
) -> Attended:  # fmt: skip
    """See `regard.attend`."""
    check_kinds(q, k, v, pattern, sink=sink, scale=scale)
    given = q, k, v, pattern, bias, scale, mask, extra_kv, sink, impl
    if torch.compiler.is_compiling():
        from regard.softmax._trace import traced

        return traced(*given)
    made = computed(*given)
    if not transformed() and _has_nan(made.out.detach()):
        _blame(q, k, v, extra_kv, sink, bias)
    return made


def check_kinds(q: Any, k: Any, v: Any, pattern: Any, *, sink: Any = None, scale: Any = None) -> None:
    """Raise LayoutError for what is of another kind: operands of other than four axes or without data, no pattern."""
    for name, x in (("q", q), ("k", k), ("v", v)):
        if not isinstance(x, Tensor) or x.ndim != 4:
            raise LayoutError(f"{name} {list(getattr(x, 'shape', [type(x).__name__]))}", hint="a tensor [B, H, N, D]")
    if q.device.type == "meta" or q.shape[-1] == 0:
        told = "has no data" if q.shape[-1] else "has heads of width 0"
        raise LayoutError(f"q {list(q.shape)} on {q.device} {told}", hint="a tensor [B, H, N, D] on a device, D over 0")
    if sink is not None and not isinstance(sink, Tensor):
        raise LayoutError(f"sink={sink!r}", hint=f"a logit a head: torch.zeros({q.shape[1]})")
    if scale is not None and not (isinstance(scale, (int, float)) and math.isfinite(scale)):
        raise LayoutError(f"scale={scale!r}", hint="a number, or None for 1 / sqrt(D)")
    if pattern is not None and not isinstance(pattern, Pattern):
        raise LayoutError(f"pattern={pattern!r}", hint="one that is made: rg.patterns.neighborhood((h, w), 7)")


def _has_nan(out: Tensor) -> bool:
    """One sum tells of most tensors that there is none; a sum may also be without meaning where no entry is."""
    return not math.isfinite(float(out.sum())) and bool(out.isnan().any())


def computed(
    q: Tensor, k: Tensor, v: Tensor, pattern: Pattern | None, bias: Bias | None, scale: float | None,
    mask: Tensor | None, extra: tuple[Tensor, Tensor] | None, sink: Tensor | None, impl: str, *, as_op: bool = False,
) -> Attended:  # fmt: skip
    """Everything but the look at the numbers, for which a graph would have to stop; as_op: for a graph."""
    if impl != "auto" and impl not in IMPLS:
        raise MethodError.unknown("implementation", impl, IMPLS, see=f"one of auto, {', '.join(IMPLS)}")
    device = q.device.type
    cast = torch.is_autocast_enabled(device)
    if cast:
        dtype = torch.get_autocast_dtype(device)
        q, k, v, extra, sink = tree_map(lambda x: _lower(x, dtype), (q, k, v, extra, sink))
    with torch.autocast(device, enabled=False) if cast else nullcontext():
        pattern = every_pair(int(q.shape[2]), int(k.shape[2])) if pattern is None else pattern
        p = problem(q, k, v, pattern, bias, scale, mask, extra, sink)
        chosen, why = cheapest(p) if impl == "auto" else (impl, "as asked")
        for there, name, able in ((transformed(), "func", PLAIN), (as_op, "compile", (*PLAIN, *_ops.PIECES))):
            if there and chosen not in able:
                raise CallError(f"torch.{name} cannot look into {chosen}", hint=f"one of {', '.join(able)}")
        out, lse = _ops.call(chosen, p) if as_op and chosen in _ops.PIECES else IMPLS[chosen](p)
    return Attended(out, lse, chosen, why)


def _lower(x: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    return x if x is None or x.dtype == torch.float64 else x.to(dtype)


def cheapest(p: Problem) -> tuple[str, str]:
    """The rule of impl="auto", and its reason.

    Away from CPUs, where a bias needs a gradient, and inside torch.func: composite. Without intervals, or with a bias
    of single pairs: dense. Otherwise what costs less: the pairs that tiles hold, with what queries, keys, ops, the call
    and the joining of boxes cost beside, times 1.1, or all pairs. Never native, flex, triton or natten: what needs a
    compiler or another library is asked for by name.
    """
    if p.q.device.type != "cpu":
        return "composite", f"the others are for CPUs, q is on {p.q.device}"
    if transformed():
        return "composite", "torch.func cannot look into the others"
    if any(x is not None and x.requires_grad for x in (p.bias, p.table)) and torch.is_grad_enabled():
        return "composite", "the bias needs a gradient"
    if p.pattern.boxes is None:
        return "dense", "no intervals"
    if p.bias is not None:
        return "dense", "a bias of single pairs"
    if everything(p):
        return "dense", "every pair is seen"
    tiles, rows = tiled_cost(p), p.pattern.queries.tokens * p.pattern.keys.tokens
    told = f"{tiles:.3g} pairs in tiles, {rows:.3g} in rows"
    return ("tiled", told) if DEARER * tiles < rows else ("dense", told)


def tiled_cost(p: Problem) -> float:
    """Cost of `tiled` for a head, in pairs: those in tiles, what a call costs beside, and the joining of boxes."""
    lead = plain(p.q.shape[0]) * plain(p.q.shape[1])
    boxes = p.pattern.boxes or ()
    total = PER_CALL / max(1, lead) + JOINED * p.pattern.queries.tokens * max(0, len(boxes) - 1)
    with outside():
        for box in boxes:
            for chosen, geometry in geometries(box, lead):
                total += cost(geometry.cuts, lead) * math.prod(map(len, chosen))
    return total


def _blame(
    q: Tensor, k: Tensor, v: Tensor, extra: tuple[Tensor, Tensor] | None, sink: Tensor | None, bias: Bias | None
) -> None:
    """Say which operand the NaN came from."""
    named = {"q": q, "k": k, "v": v, "sink": sink}
    named |= {"extra_kv[0]": extra[0], "extra_kv[1]": extra[1]} if extra is not None else {}
    counts = {name: int((~x.isfinite()).sum()) for name, x in named.items() if x is not None}
    full = bias.values if isinstance(bias, RelativeTable) else bias
    if isinstance(full, Tensor):
        counts["bias"] = int((full.isnan() | full.isposinf()).sum())  # -inf keeps pairs apart
    told = ", ".join(f"{name} has {n}" for name, n in counts.items() if n)
    raise DegenerateError(
        f"attention gives NaN; not finite: {told or 'none of q, k, v, so logits overflow'}",
        hint="find what makes them; a mask of keys (mask=) keeps keys out, not their NaN",
    )
