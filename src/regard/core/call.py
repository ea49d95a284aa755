"""`Call`: one attention call, `(q, k, v, bias, scale) -> logits -> probs -> out`, at a site; and its algebra of edits.

An edit gives another call. What it can say is said here once, and each step finds the cheapest exact form: logits
that are scaled or biased become other queries and another bias for the model's own fused kernel; a `Rule` changes
probabilities and may know a closed form of its output; `then` changes the output.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from regard.core.checkpoint import Checkpoint
from regard.errors import CallError, EditError

PerQuery = Float[Tensor, "b h q"]  # a number for each query row; blocks of rows are strung together
PerHead = Float[Tensor, "b h"]  # a number for each head
Summed = Float[Tensor, "b h *any"]  # what each block of rows adds to a total

BLOCK = 1 << 21  # elements of probs held at a time: small enough for a cache, large enough to spread each call's cost


@dataclass(frozen=True)
class Rule:
    """A change of probabilities.

    rows: (probs `[B, H, rows, K]`, first row, the call) -> probs of the same shape.
    closed: (the call before this rule, its product with any values) -> the product after it, or None where the
        closed form does not hold. Without one, or where probabilities are looked at, rows are computed.
    """

    rows: Callable[[Tensor, int, Call], Tensor]
    closed: Callable[[Call, Callable[[Tensor], Tensor]], Tensor | None] | None = None


@dataclass(frozen=True)
class Call:
    """A call in the canonical view; it computes on demand and is dropped after use.

    q `[B, H, Q, D]`, k `[B, Hk, K, D]`, v `[B, Hk, K, Dv]` with Hk dividing H (grouped queries);
    bias broadcasts to `[B, H, Q, K]`: bool (True = may look) or a number added to the logits;
    causal is aligned to the upper left, as in torch. weights `[B, H, Q, K]`: where the model makes its
    attention by hand, the matrix that it multiplies with v; then q and k are known only if it came
    from their product, and nothing is computed from them. given: the logits of such attention, while
    they are still logits (there is no v yet); logits_done: these have been edited.
    dropout: the model's own, in training; probabilities are told without it. checkpoint: the one it is made in.
    """

    site: str
    index: int
    mechanism: str
    q: Float[Tensor, "b h q d"] | None = None
    k: Float[Tensor, "b hk k d"] | None = None
    v: Float[Tensor, "b hk k dv"] | None = None
    bias: Tensor | None = None
    causal: bool = False
    scale: float = 1.0
    weights: Float[Tensor, "b h q k"] | None = None
    given: Float[Tensor, "b h q k"] | None = None
    logits_done: bool = False
    dropout: float = 0.0
    checkpoint: Checkpoint | None = None
    on_logits: tuple[Callable[[Tensor, int], Tensor], ...] = ()
    rules: tuple[Rule, ...] = ()
    after: tuple[Callable[[Tensor], Tensor], ...] = ()

    @cached_property
    def shape(self) -> tuple[int, int, int, int]:
        """Batch, heads, queries, keys."""
        matrix = self.weights if self.weights is not None else self.given
        if matrix is not None:
            batch, heads, queries, keys = matrix.shape
            return batch, heads, queries, keys
        q, k = self._operands
        return q.shape[0], q.shape[1], q.shape[2], k.shape[2]

    @property
    def batch(self) -> int:
        return self.shape[0]

    @property
    def heads(self) -> int:
        return self.shape[1]

    @property
    def queries(self) -> int:
        return self.shape[2]

    @property
    def keys(self) -> int:
        return self.shape[3]

    @property
    def device(self) -> torch.device:
        for one in (self.v, self.given, self.weights, self.q):
            if one is not None:
                return one.device
        raise CallError(f"{self.site} holds no tensor", hint="this is a fault of regard: please tell us")

    @property
    def gives(self) -> tuple[str, ...]:
        """Which fields can be had."""
        return ("v", "out", "probs") if self.q is None or self.k is None else ("q", "k", "v", "out", "probs")

    @property
    def values(self) -> Float[Tensor, "b hk k dv"]:
        if self.v is None:
            raise CallError(f"{self.site} is not made yet: its values are not known", hint="an edit of probs or of out")
        return self.v

    @property
    def values_per_head(self) -> Float[Tensor, "b h k dv"]:
        """v, with grouped keys repeated for each of their queries' heads."""
        groups = self.heads // self.values.shape[1]
        return self.values.repeat_interleave(groups, dim=1) if groups > 1 else self.values

    def operand(self, which: str) -> Tensor:
        """q or k, or a refusal where the weights came from something else."""
        return self._operands[("q", "k").index(which)]

    @property
    def _operands(self) -> tuple[Tensor, Tensor]:
        if self.q is None or self.k is None:
            raise CallError(
                f"{self.site} makes its attention by hand and not from a product of q and k",
                hint="keep='probs', or a probe; regard.sites(model, x) says what each call gives",
            )
        return self.q, self.k

    @cached_property
    def _keys_per_head(self) -> Tensor:
        k = at_least_float(self._operands[1])
        groups = self.heads // k.shape[1]
        return k.repeat_interleave(groups, dim=1) if groups > 1 else k

    # What a call is made of, computed on demand.

    def logits(
        self, start: int = 0, stop: int | None = None, *, out: Tensor | None = None
    ) -> Float[Tensor, "b h rows k"]:
        """scale * q k^T + bias for query rows start..stop, at least in float32; forbidden pairs are -inf."""
        stop = self.queries if stop is None else stop
        if self.weights is not None:  # their own logarithms: the softmax of these are the weights again
            return self.probs(start, stop).log()
        if self.given is not None:
            logits = at_least_float(self.given[:, :, start:stop])
        else:
            q = at_least_float(self._operands[0][:, :, start:stop]) * self.scale
            logits = torch.matmul(q, self._keys_per_head.transpose(-1, -2), out=out)
        if self.bias is not None:
            bias = self.bias.expand(self.batch, self.heads, self.queries, self.keys)[:, :, start:stop]
            logits = _biased(logits, bias)
        if self.causal:
            row = torch.arange(start, stop, device=logits.device)
            future = torch.arange(self.keys, device=logits.device) > row[:, None]
            logits = logits.masked_fill_(future, float("-inf"))
        for change in self.on_logits:
            logits = change(logits, start)
        return logits

    @property
    def may_forbid(self) -> bool:
        """Whether some logit may be -inf (then a row may be wholly masked, and gives zeros as in torch)."""
        return self.causal or self.bias is not None or self.weights is not None or bool(self.on_logits)

    def probs(self, start: int = 0, stop: int | None = None) -> Float[Tensor, "b h rows k"]:
        """Softmax of the logits over the keys, or the model's own weights; a wholly masked row is all zeros."""
        if self.weights is not None:
            return self._ruled(at_least_float(self.weights[:, :, start:stop]), start)
        return self._softmax(self.logits(start, stop), start)

    def _softmax(self, logits: Tensor, start: int, out: Tensor | None = None) -> Tensor:
        if out is not None:
            probs = torch.softmax(logits, -1, out=out)
            probs = probs.nan_to_num_(0.0) if self.may_forbid else probs
        elif self.may_forbid:
            blind = logits.amax(-1, keepdim=True) == float("-inf")  # also its gradient is 0, where NaN's would be NaN
            probs = torch.softmax(logits.masked_fill(blind, 0.0), -1).masked_fill(blind, 0.0)
        else:
            probs = torch.softmax(logits, -1)
        return self._ruled(probs, start)

    def _ruled(self, probs: Tensor, start: int) -> Tensor:
        for rule in self.rules:
            probs = rule.rows(probs, start, self)
        return probs

    def blocks(self, workspace: Workspace | None = None) -> Iterator[Rows]:
        """All query rows, a cache-sized block at a time; a block's tensors are overwritten by the next one.

        The workspace lends the same memory to every block of every call: fresh pages for each block cost
        more than the softmax itself.
        """
        workspace = workspace or Workspace()
        for start, stop in self.spans():
            yield self.rows(start, stop, workspace)

    def spans(self) -> Iterator[tuple[int, int]]:
        """First and last row of each block."""
        step = max(1, BLOCK // max(1, self.batch * self.heads * self.keys))
        for start in range(0, self.queries, step):
            yield start, min(start + step, self.queries)

    def single_rows(self, queries: Sequence[int]) -> Iterator[Rows]:
        """Chosen query rows, one at a time: all that a probe of a few rows costs. One that is not there is empty."""
        for query in queries:
            at = query if 0 <= query < self.queries else self.queries
            yield self.rows(at, min(at + 1, self.queries), Workspace())

    def rows(self, start: int, stop: int, workspace: Workspace) -> Rows:
        if self.weights is not None or self.rules:
            probs = self.probs(start, stop)
            return Rows(start, probs.log(), probs, self.queries, masked=True, given=True)
        shape = (self.batch, self.heads, stop - start, self.keys)
        kept = [workspace.lend(name, shape, self._keys_per_head) for name in ("logits", "probs")]
        logits = self.logits(start, stop, out=kept[0])
        return Rows(start, logits, self._softmax(logits, start, out=kept[1]), self.queries, self.may_forbid)

    def without_tensors(self) -> Call:
        """Only the facts: what may be held for as long as one likes."""
        shape = torch.empty(self.shape, device="meta")
        return Call(self.site, self.index, self.mechanism, weights=shape, causal=self.causal, scale=self.scale)

    # The algebra: each step gives another call.

    def placed(self, site: str, index: int) -> Call:
        """The same call under another model's name for its site."""
        return self if (site, index) == (self.site, self.index) else replace(self, site=site, index=index)

    def scaled(self, gain: float | Float[Tensor, h]) -> Call:
        """Logits times a gain, for all heads or for each."""
        if self._past_logits():
            return self
        by = gain if isinstance(gain, float | int) else gain.view(1, -1, 1, 1)
        if self.given is not None or self.on_logits:
            return self.with_logits(lambda logits, _: logits * by)
        bias = self.bias if self.bias is None or self.bias.dtype == torch.bool else _four(self.bias) * by
        q = self.operand("q")
        return replace(self, q=(q * by).to(q.dtype), bias=None if bias is None else bias.to(self.bias.dtype))  # type: ignore[union-attr]

    def biased(self, bias: Tensor) -> Call:
        """Logits plus a bias that broadcasts to `[B, H, Q, K]`, or without the pairs where a bool one is False."""
        if self._past_logits():
            return self
        bias = _four(bias)
        if self.given is not None or self.on_logits:
            full = bias.expand(self.batch, self.heads, self.queries, self.keys)
            return self.with_logits(
                lambda logits, start: _biased(logits.clone(), full[:, :, start : start + logits.shape[2]])
            )
        known = None if self.bias is None else _four(self.bias)
        if self.causal:  # torch takes causal or a bias, not both
            past = torch.ones(self.queries, self.keys, dtype=torch.bool, device=bias.device).tril()[None, None]
            known = past if known is None else _both(known, past)
        merged = bias if known is None else _both(known, bias)
        return replace(self, bias=merged if merged.dtype == torch.bool else merged.to(self.operand("q")), causal=False)

    def with_logits(self, change: Callable[[Tensor, int], Tensor]) -> Call:
        """Any other change of the logits: (logits `[B, H, rows, K]`, first row) -> the same shape."""
        return self if self._past_logits() else replace(self, on_logits=(*self.on_logits, change))

    def with_rule(self, rule: Rule) -> Call:
        """Probabilities changed by a rule, after all that were added before."""
        return self if self.given is not None else replace(self, rules=(*self.rules, rule))

    def then(self, change: Callable[[Tensor], Tensor]) -> Call:
        """The output `[B, H, Q, Dv]` changed, after all else."""
        return self if self.given is not None else replace(self, after=(*self.after, change))

    def with_operands(self, *, q: Tensor | None = None, k: Tensor | None = None, v: Tensor | None = None) -> Call:
        """Other q, k or v."""
        if self.given is not None:
            return self
        if self.weights is not None and (q is not None or k is not None):
            raise EditError(
                f"{self.site} makes its attention by hand: its weights exist before q or k can be replaced",
                hint="transplant 'attention', 'v' or 'out'",
            )
        q, k, v = (old if new is None else new for old, new in zip((self.q, self.k, self.v), (q, k, v), strict=True))
        return replace(self, q=q, k=k, v=v)

    def _past_logits(self) -> bool:
        if self.weights is None:
            return False
        if not self.logits_done:
            raise EditError(
                f"{self.site} makes its attention by hand, and what went into its softmax was no product of q and k",
                hint="an edit of probs or out (regard list edits says which act where)",
            )
        return True


class Workspace:
    """Buffers that are lent again and again; they grow to the largest request and go with the workspace."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[object, ...], Tensor] = {}

    def lend(self, name: str, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """An uninitialised contiguous tensor; the same name gets the same memory."""
        size = math.prod(shape)
        key = (name, like.dtype, like.device, torch.is_inference_mode_enabled())
        if key not in self._buffers or self._buffers[key].numel() < size:
            self._buffers[key] = torch.empty(size, dtype=like.dtype, device=like.device)
        return self._buffers[key][:size].view(shape)

    def owns(self, tensor: Tensor) -> bool:
        """Whether a tensor shares memory with a buffer, and so must be copied to be kept."""
        at = tensor.untyped_storage().data_ptr()
        return any(b.untyped_storage().data_ptr() == at for b in self._buffers.values())


@dataclass(frozen=True)
class Rows:
    """A block of query rows of a call: rows `start ..` of `queries`; masked: some logits may be -inf.

    given: probs are not our softmax of logits but what a model or an edit made of them; they may be no distribution.
    """

    start: int
    logits: Float[Tensor, "b h rows k"]
    probs: Float[Tensor, "b h rows k"]
    queries: int
    masked: bool = False
    given: bool = False

    @property
    def stop(self) -> int:
        return self.start + self.probs.shape[2]

    @cached_property
    def lse(self) -> Float[Tensor, "b h rows"]:
        """log sum exp of the logits, read off the largest entry: log p_max = s_max - lse."""
        return self.logits.amax(-1) - self.probs.amax(-1).log()


@dataclass(frozen=True)
class Tap:
    """Where the gradient with respect to a call's probabilities goes, a block of rows at a time, in backward.

    leaf: a scalar that requires a gradient, so that backward comes by even where model and input are frozen.
    """

    leaf: Float[Tensor, ""]
    reduce: Callable[[Rows, Float[Tensor, "b h rows k"]], None]


def at_least_float(x: Tensor) -> Tensor:
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def _four(bias: Tensor) -> Tensor:
    return bias.view(*(1,) * (4 - bias.ndim), *bias.shape)


def _biased(logits: Tensor, bias: Tensor) -> Tensor:
    """Logits are changed in place: they are our own, made just now."""
    return logits.masked_fill_(~bias, float("-inf")) if bias.dtype == torch.bool else logits.add_(bias)


def _both(one: Tensor, other: Tensor) -> Tensor:
    """Two biases as one."""
    if one.dtype == other.dtype == torch.bool:
        return one & other
    one, other = (
        torch.zeros_like(b, dtype=torch.float32).masked_fill(~b, float("-inf")) if b.dtype == torch.bool else b
        for b in (one, other)
    )
    return one + other
