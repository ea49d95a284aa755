"""`Problem`: attention under a pattern, checked and brought into one form that every implementation reads."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regard.errors import CallError, LayoutError
from regard.patterns._pattern import Pattern
from regard.softmax._tracing import constant, outside


@dataclass(frozen=True)
class RelativeTable:
    """A bias that depends on where a key lies relative to its query: `values[h, d0 + R0, d1 + R1, ...]`.

    values `[H, 2 R0 + 1, ...]`, an odd number for each axis; d: key's place minus query's. It has to reach as far as
    the pattern does. Pairs with a prefix token have no bias.
    """

    values: Tensor


@dataclass(frozen=True)
class LowRank:
    """A bias U W^T: u `[B or 1, H or 1, Q, R]`, w `[B or 1, H or 1, K, R]`.

    Computed without the matrix: scale q k^T + u w^T = [scale q, u] [k, w]^T.
    """

    u: Tensor
    w: Tensor


Bias = Tensor | RelativeTable | LowRank
SMALL = 1 << 20  # pairs of a pattern whose rows are kept


@dataclass(frozen=True)
class Problem:
    """q `[B, H, Q, D]`, k `[B, Hk, K, D]`, v `[B, Hk, K, Dv]`, and what else goes into the logits.

    bias: a number for each pair, broadcasting to `[B, H, Q, K]`; table: by relative place; keep `[B, K]`: keys that
    may be seen at all; extra: more keys and values `[B, Hk, E, D]` that all queries see; sink `[H]`: the logit of a
    key whose value is zero.
    """

    q: Float[Tensor, "b h q d"]
    k: Float[Tensor, "b hk k d"]
    v: Float[Tensor, "b hk k dv"]
    pattern: Pattern
    scale: float
    bias: Tensor | None = None
    table: Tensor | None = None
    keep: Bool[Tensor, "b k"] | None = None
    extra: tuple[Tensor, Tensor] | None = None
    sink: Tensor | None = None

    @property
    def groups(self) -> int:
        return self.q.shape[1] // self.k.shape[1]

    def to(self, dtype: torch.dtype) -> Problem:
        """The same in another type."""
        cast = {name: x.to(dtype) for name in ("q", "k", "v", "bias", "table", "sink")
                if (x := getattr(self, name)) is not None}  # fmt: skip
        extra = None if self.extra is None else (self.extra[0].to(dtype), self.extra[1].to(dtype))
        return replace(self, **cast, extra=extra)

    def offsets(self, query: Tensor, key: Tensor) -> Tensor:
        """Where in the flattened table the bias of pairs of body tokens stands."""
        assert self.table is not None
        at = torch.zeros((), dtype=torch.long, device=query.device)
        places = zip(self.pattern.queries.places(query), self.pattern.keys.places(key), strict=True)
        for (i, j), size in zip(places, self.table.shape[1:], strict=True):
            at = at * size + (j - i + size // 2).clamp(0, size - 1)
        return at

    def logits(self, start: int, stop: int) -> Tensor:
        """All that is added to scale q k^T for query rows start .. stop - 1, pairs that are not seen at -inf."""
        space, q = self.pattern.queries, self.q
        stop = min(stop, space.tokens)
        with outside():
            rows = _rows(self.pattern, start, stop, q.device)
        seen = constant(rows)
        added = torch.zeros(seen.shape, dtype=q.dtype, device=q.device).masked_fill_(~seen, float("-inf"))
        if added.ndim == 2:
            added = added[None, None]
        if self.keep is not None:
            added = added.masked_fill(~self.keep[:, None, None], float("-inf"))
        if self.bias is not None:
            full = self.bias.expand(*self.q.shape[:3], self.k.shape[2])
            added = added + full[:, :, start:stop]
        if self.table is not None:
            with outside():
                query = torch.arange(start, stop, device=q.device)[:, None] - space.prefix
                key = torch.arange(self.pattern.keys.body, device=q.device)[None]
                at, there = self.offsets(query.clamp_min(0), key), query >= 0
            body = self.table.flatten(1)[:, constant(at)] * constant(there)
            added = added + torch.nn.functional.pad(body, (self.pattern.keys.prefix, 0))[None]
        return added


def _rows(pattern: Pattern, start: int, stop: int, device: torch.device) -> Tensor:
    """Which pairs are seen: found once for patterns that are small and not made from data, which come again."""
    small = pattern.queries.tokens * pattern.keys.tokens <= SMALL and not pattern.lead
    return (_kept_rows if small else Pattern.rows)(pattern, start, stop, device)


_kept_rows = functools.lru_cache(maxsize=8)(Pattern.rows)


def problem(
    q: Tensor, k: Tensor, v: Tensor, pattern: Pattern, bias: Bias | None, scale: float | None, mask: Tensor | None,
    extra: tuple[Tensor, Tensor] | None, sink: Tensor | None,
) -> Problem:  # fmt: skip
    """Check everything once, in one place; a low-rank bias is taken into q and k here."""
    _check_operands(q, k, v, pattern)
    scale = q.shape[-1] ** -0.5 if scale is None else float(scale)
    tensors = {"bias": bias if isinstance(bias, Tensor) else None, "mask": mask, "sink": sink}
    tensors |= {"extra_kv[0]": extra[0], "extra_kv[1]": extra[1]} if extra is not None else {}
    for name, tensor in tensors.items():
        if tensor is not None and tensor.device != q.device:
            raise LayoutError(f"{name} is on {tensor.device}, q on {q.device}", hint=f"{name}.to(q.device)")
    if isinstance(bias, LowRank) and extra is not None:
        raise CallError("a low-rank bias says nothing about extra_kv", hint="append u and w yourself, or drop one")
    table = _checked_table(bias, q, pattern) if isinstance(bias, RelativeTable) else None
    if isinstance(bias, LowRank):
        v = v.repeat_interleave(q.shape[1] // k.shape[1], 1)  # k gets a head for each of the queries', for w has one
        q, k, scale = _augmented(q, k, bias, scale)
    dense = _checked_bias(bias, q, k) if isinstance(bias, Tensor) else None
    if mask is not None and (mask.dtype != torch.bool or mask.shape != (q.shape[0], k.shape[2])):
        raise LayoutError(
            f"mask {list(mask.shape)} {mask.dtype}", hint=f"bool {[q.shape[0], k.shape[2]]}, True: a key that is there"
        )
    if extra is not None:
        _check_extra(extra, k, v)
    if sink is not None and (sink.shape != (q.shape[1],) or sink.dtype != q.dtype):
        raise LayoutError(f"sink {list(sink.shape)} {sink.dtype}", hint=f"one logit a head, [{q.shape[1]}] {q.dtype}")
    return Problem(q, k, v, pattern, scale, dense, table, mask, extra, sink)


def _check_operands(q: Tensor, k: Tensor, v: Tensor, pattern: Pattern) -> None:
    told = f"q {list(q.shape)}, k {list(k.shape)}, v {list(v.shape)}"
    if not q.ndim == k.ndim == v.ndim == 4:
        raise LayoutError(told, hint="q [B, H, Q, D], k [B, Hk, K, D], v [B, Hk, K, Dv]")
    for name, x in (("k", k), ("v", v)):
        if x.device != q.device or x.dtype != q.dtype:
            raise LayoutError(f"{name} is {x.dtype} on {x.device}, q {q.dtype} on {q.device}", hint=f"{name}.to(q)")
    if not q.dtype.is_floating_point:
        raise LayoutError(f"q, k, v of {q.dtype}: softmax has no meaning for these", hint="float32, say")
    same = q.shape[0] == k.shape[0] and k.shape[:3] == v.shape[:3] and q.shape[3] == k.shape[3]
    if not same or k.shape[1] == 0 or q.shape[1] % k.shape[1]:
        raise LayoutError(
            told, hint="one batch; k and v of as many heads and tokens; q and k of one width; Hk divides H"
        )
    if (q.shape[2], k.shape[2]) != (pattern.queries.tokens, pattern.keys.tokens):
        raise LayoutError(
            f"{q.shape[2]} queries and {k.shape[2]} keys under {pattern}, which is for {pattern.queries.tokens} and "
            f"{pattern.keys.tokens}",
            hint="a pattern made for the grid of these tokens",
        )
    if pattern.lead and any(n not in (1, m) for n, m in zip(pattern.lead, q.shape[:2], strict=True)):
        raise LayoutError(
            f"{pattern} was made for {list(pattern.lead)} pictures and heads, q has {list(q.shape[:2])}",
            hint="make it from these q and k",
        )


def _checked_bias(bias: Tensor, q: Tensor, k: Tensor) -> Tensor:
    shape = (*q.shape[:3], k.shape[2])
    try:
        bias.expand(shape)
    except RuntimeError:
        raise LayoutError(f"a bias of {list(bias.shape)} for {list(shape)}", hint="[Q, K], or [1, H, Q, K]") from None
    if bias.dtype == torch.bool:
        raise LayoutError("a bias of bool is a mask", hint="pattern=rg.patterns.explicit(mask)")
    return bias.to(q.dtype)


def _checked_table(bias: RelativeTable, q: Tensor, pattern: Pattern) -> Tensor:
    values, axes = bias.values, len(pattern.queries.axes)
    fits = values.ndim == 1 + axes and values.shape[0] in (1, q.shape[1]) and all(n % 2 for n in values.shape[1:])
    if not fits or len(pattern.keys.axes) != axes:
        raise LayoutError(
            f"a table of {list(values.shape)} for {q.shape[1]} heads on {axes} axes",
            hint="[H, 2 R + 1, ...]: an odd number for each axis",
        )
    reach = [_reach(pattern, at) for at in range(axes)]
    for size, far in zip(values.shape[1:], reach, strict=True):
        if far > size // 2:
            raise LayoutError(
                f"a table of {list(values.shape)} reaches {size // 2} tokens, {pattern} reaches {far}",
                hint=f"values [H, {', '.join(str(2 * r + 1) for r in reach)}]",
            )
    return values.to(q.dtype).expand(q.shape[1], *values.shape[1:])


def _reach(pattern: Pattern, at: int) -> int:
    """The farthest that a query sees on an axis; without intervals, as far as there are keys."""
    length = max(pattern.queries.axes[at], pattern.keys.axes[at])
    if pattern.boxes is None:
        return length - 1
    far = 0
    for box in pattern.boxes:
        axis = box[at]
        for i, (lo, hi) in enumerate(zip(axis.lo, axis.hi, strict=True)):
            if hi > lo:
                step, residue = axis.dilation, i % axis.dilation
                far = max(far, abs(residue + step * lo - i), abs(residue + step * (hi - 1) - i))
    return far


def _augmented(q: Tensor, k: Tensor, bias: LowRank, scale: float) -> tuple[Tensor, Tensor, float]:
    try:
        u = bias.u.expand(*q.shape[:3], -1).to(q)
        w = bias.w.expand(k.shape[0], q.shape[1], k.shape[2], -1).to(q)
    except RuntimeError:
        raise LayoutError(
            f"a low-rank bias of {list(bias.u.shape)}, {list(bias.w.shape)} for q {list(q.shape)}, k {list(k.shape)}",
            hint="u [1, H, Q, R], w [1, H, K, R]",
        ) from None
    if u.shape[-1] != w.shape[-1]:
        raise LayoutError(f"u of rank {u.shape[-1]}, w of rank {w.shape[-1]}", hint="the same last axis")
    many = k.repeat_interleave(q.shape[1] // k.shape[1], 1)
    return torch.cat([q * scale, u], -1), torch.cat([many, w], -1), 1.0


def _check_extra(extra: tuple[Tensor, Tensor], k: Tensor, v: Tensor) -> None:
    for name, x, like in (("extra_kv[0]", extra[0], k), ("extra_kv[1]", extra[1], v)):
        if x.ndim != 4 or x.dtype != like.dtype or x.shape[:2] != like.shape[:2] or x.shape[3] != like.shape[3]:
            raise LayoutError(
                f"{name} is {list(x.shape)} {x.dtype}, the keys are {list(like.shape)} {like.dtype}",
                hint=f"[{like.shape[0]}, {like.shape[1]}, E, {like.shape[3]}]",
            )
    if extra[0].shape[2] != extra[1].shape[2]:
        raise LayoutError(
            f"{extra[0].shape[2]} extra keys and {extra[1].shape[2]} extra values", hint="as many of each"
        )
