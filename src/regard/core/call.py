"""`Call`: one attention call, `(q, k, v, bias, scale) -> logits -> probs -> out`, at a site."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import CallError

PerQuery = Float[Tensor, "b h q"]  # a number for each query row; blocks of rows are strung together
PerHead = Float[Tensor, "b h"]  # a number for each head
Summed = Float[Tensor, "b h *any"]  # what each block of rows adds to a total

BLOCK = 1 << 21  # elements of probs held at a time: small enough for a cache, large enough to spread each call's cost


@dataclass(frozen=True)
class Call:
    """A call in the canonical view; it computes on demand and is dropped after use.

    q `[B, H, Q, D]`, k `[B, Hk, K, D]`, v `[B, Hk, K, Dv]` with Hk dividing H (grouped queries);
    bias broadcasts to `[B, H, Q, K]`: bool (True = may look) or a number added to the logits;
    causal is aligned to the upper left, as in torch. weights `[B, H, Q, K]`: where the model makes its
    attention by hand, the matrix that it multiplies with v; then q and k are known only if it came
    from their product, and nothing is computed from them.
    """

    site: str
    index: int
    mechanism: str
    q: Float[Tensor, "b h q d"] | None
    k: Float[Tensor, "b hk k d"] | None
    v: Float[Tensor, "b hk k dv"]
    bias: Tensor | None = None
    causal: bool = False
    scale: float = 1.0
    weights: Float[Tensor, "b h q k"] | None = None

    @cached_property
    def shape(self) -> tuple[int, int, int, int]:
        """Batch, heads, queries, keys."""
        if self.weights is not None:
            batch, heads, queries, keys = self.weights.shape
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
    def gives(self) -> tuple[str, ...]:
        """Which fields can be had."""
        return ("v", "out", "probs") if self.q is None or self.k is None else ("q", "k", "v", "out", "probs")

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
        k = _at_least_float(self._operands[1].detach())
        groups = self.heads // k.shape[1]
        return k.repeat_interleave(groups, dim=1) if groups > 1 else k

    def logits(
        self, start: int = 0, stop: int | None = None, *, out: Tensor | None = None
    ) -> Float[Tensor, "b h rows k"]:
        """scale * q k^T + bias for query rows start..stop, at least in float32; forbidden pairs are -inf."""
        stop = self.queries if stop is None else stop
        if self.weights is not None:  # their own logarithms: the softmax of these are the weights again
            return self.probs(start, stop).log()
        q = _at_least_float(self._operands[0].detach()[:, :, start:stop]) * self.scale
        logits = torch.matmul(q, self._keys_per_head.transpose(-1, -2), out=out)
        if self.bias is not None:
            bias = self.bias.expand(self.batch, self.heads, self.queries, self.keys)[:, :, start:stop]
            if bias.dtype == torch.bool:
                logits.masked_fill_(~bias, float("-inf"))
            else:
                logits += bias
        if self.causal:
            row = torch.arange(start, stop, device=logits.device)
            future = torch.arange(self.keys, device=logits.device) > row[:, None]
            logits.masked_fill_(future, float("-inf"))
        return logits

    @property
    def may_forbid(self) -> bool:
        """Whether some logit may be -inf (then a row may be wholly masked, and gives zeros as in torch)."""
        return self.causal or self.bias is not None or self.weights is not None

    def probs(self, start: int = 0, stop: int | None = None) -> Float[Tensor, "b h rows k"]:
        """Softmax of the logits over the keys, or the model's own weights; a wholly masked row is all zeros."""
        if self.weights is not None:
            return _at_least_float(self.weights.detach()[:, :, start:stop])
        return self._softmax(self.logits(start, stop))

    def _softmax(self, logits: Tensor, out: Tensor | None = None) -> Tensor:
        probs = torch.softmax(logits, -1) if out is None else torch.softmax(logits, -1, out=out)
        return probs.nan_to_num_(0.0) if self.may_forbid else probs

    def blocks(self, workspace: Workspace | None = None) -> Iterator[Rows]:
        """All query rows, a cache-sized block at a time; a block's tensors are overwritten by the next one.

        The workspace lends the same memory to every block of every call: fresh pages for each block cost
        more than the softmax itself.
        """
        workspace = workspace or Workspace()
        step = max(1, BLOCK // max(1, self.batch * self.heads * self.keys))
        for start in range(0, self.queries, step):
            stop = min(start + step, self.queries)
            yield self._rows(start, stop, workspace)

    def single_rows(self, queries: Sequence[int]) -> Iterator[Rows]:
        """Chosen query rows, one at a time: all that a probe of a few rows costs. One that is not there is empty."""
        for query in queries:
            at = query if 0 <= query < self.queries else self.queries
            yield self._rows(at, min(at + 1, self.queries), Workspace())

    def _rows(self, start: int, stop: int, workspace: Workspace) -> Rows:
        if self.weights is not None:
            probs = self.probs(start, stop)
            return Rows(start, probs.log(), probs, self.queries, masked=True)
        shape = (self.batch, self.heads, stop - start, self.keys)
        kept = [workspace.lend(name, shape, self._keys_per_head) for name in ("logits", "probs")]
        logits = self.logits(start, stop, out=kept[0])
        return Rows(start, logits, self._softmax(logits, out=kept[1]), self.queries, self.may_forbid)


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
    """A block of query rows of a call: rows `start ..` of `queries`; masked: some logits may be -inf."""

    start: int
    logits: Float[Tensor, "b h rows k"]
    probs: Float[Tensor, "b h rows k"]
    queries: int
    masked: bool = False

    @property
    def stop(self) -> int:
        return self.start + self.probs.shape[2]

    @cached_property
    def lse(self) -> Float[Tensor, "b h rows"]:
        """log sum exp of the logits, read off the largest entry: log p_max = s_max - lse."""
        return self.logits.amax(-1) - self.probs.amax(-1).log()


def _at_least_float(x: Tensor) -> Tensor:
    return x if x.dtype in (torch.float32, torch.float64) else x.float()
