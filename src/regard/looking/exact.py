"""`Exact`: one head's attention of one picture, in full precision and small enough for a page.

Where the attention comes from q and k, these are kept (N x 2D numbers instead of N x N) with their scale
and bias, and any row of logits and attention can be had from them; where it does not, the weights are.
The model computes in float32, and a rounding of a large logit shows in the weights (2e-5 in DINOv2's first
block): the few entries that it moves by over 1e-7 are kept as the model had them,
and the others of their rows are scaled so that rows sum to 1 all the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from regard.core.record import Reading
from regard.subjects.rows import call_of

MOVED = (1e-7, 3e-8, 1e-8)  # an entry that float32 moved by more is kept as it was; less where that is not enough
ENOUGH = 9e-7
TOLERANCE = 1e-4  # by more than that, and it was not these q and k that the weights came from

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Exact:
    """Either q, k `[N, D]` and bias `[N, N]` (where there is one), or probs `[N, N]`.

    places, kept `[M]`: flat indices of the entries that are as the model had them, in order, and these entries.
    error: the largest difference between attention computed from all this and the watched call's.
    """

    layer: int
    head: int
    address: str
    scale: float
    places: NDArray[np.uint32]
    kept: Array
    error: float
    q: Array | None = None
    k: Array | None = None
    bias: Array | None = None
    probs: Array | None = None

    @property
    def tokens(self) -> int:
        """How many queries, and keys."""
        some = self.q if self.probs is None else self.probs
        assert some is not None
        return len(some)

    @property
    def bytes(self) -> int:
        """Size of the arrays."""
        arrays = (self.q, self.k, self.bias, self.probs, self.places, self.kept)
        return sum(a.nbytes for a in arrays if a is not None)

    def logits(self) -> NDArray[np.float64]:
        """scale q k^T + bias in float64, as the page's script computes it; of weights, their logarithms."""
        if self.probs is not None:
            with np.errstate(divide="ignore"):
                return np.log(self.probs.astype(np.float64))
        assert self.q is not None
        assert self.k is not None
        logits = self.scale * (self.q.astype(np.float64) @ self.k.astype(np.float64).T)
        return logits if self.bias is None else logits + self.bias

    def attention(self) -> NDArray[np.float64]:
        """Softmax of the logits (or the weights), `[N, N]`, the kept entries put back; a wholly masked row is 0."""
        if self.probs is not None:
            return self.probs.astype(np.float64)
        return put_back(softmax(self.logits()), self.places, self.kept)


def put_back(full: NDArray[np.float64], places: NDArray[np.uint32], kept: Array) -> NDArray[np.float64]:
    """Attention `[Q, K]` with the kept entries in their places, the rest of their rows scaled so that rows sum to 1."""
    rows = places // full.shape[1]
    held, freed = (np.bincount(rows, weights=some, minlength=len(full)) for some in (kept, full.flat[places]))
    rest = full.sum(1) - freed
    full = full * np.where(rest > 0, (1 - held) / np.maximum(rest, 1e-300), 1)[:, None] if len(places) else full
    full.flat[places] = kept
    return full


def softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the last axis; rows of -inf give 0."""
    top = logits.max(-1, keepdims=True)
    raised = np.exp(logits - np.where(np.isfinite(top), top, 0))
    share: NDArray[np.float64] = raised / np.maximum(raised.sum(-1, keepdims=True), 1e-300)
    return share


def exact(reading: Reading, layer: int, head: int, *, picture: int = 0) -> Exact:
    """One head of a reading that kept "attention", and q and k where the call gives them."""
    hooked = _numpy(call_of(reading).probs()[picture, head])
    if {"q", "k"} <= set(reading.values):
        q, k = _operands(reading, head, picture)
        scale = reading.scale if reading.mechanism != "by hand" else _fitted_scale(q, k, hooked)
        one = _of_operands(reading, layer, head, scale, q, k, _bias(reading, head, picture), hooked)
        if one is not None:
            return one
    none = np.zeros(0, np.uint32), np.zeros(0, np.float32)
    return Exact(layer, head, reading.address, 1.0, *none, error=0.0, probs=hooked)


def _of_operands(
    reading: Reading, layer: int, head: int, scale: float | None, q: Array, k: Array, bias: Array | None, hooked: Array
) -> Exact | None:
    """With the entries put back that rounding moved; None where it is more than rounding."""
    if scale is None:
        return None
    logits = scale * (q.astype(np.float64) @ k.astype(np.float64).T)
    full = softmax(logits if bias is None else logits + bias)
    off = np.abs(full - hooked)
    if not off.max() <= TOLERANCE:
        return None
    for moved in MOVED:
        places = np.flatnonzero(off > moved).astype(np.uint32)
        kept = hooked.flat[places]
        error = float(np.abs(put_back(full, places, kept) - hooked).max())
        if error <= ENOUGH:
            break
    return Exact(layer, head, reading.address, scale, places, kept, error=error, q=q, k=k, bias=bias)


def _operands(reading: Reading, head: int, picture: int) -> tuple[Array, Array]:
    groups = reading.heads // reading["k"].shape[1]
    return _numpy(reading["q"][picture, head]), _numpy(reading["k"][picture, head // groups])


def _bias(reading: Reading, head: int, picture: int) -> Array | None:
    """What is added to the logits, masks and causality as -inf."""
    full = (reading.batch, reading.heads, reading.queries, reading.keys)
    bias: Tensor | None = None
    if reading.bias is not None:
        bias = reading.bias.expand(full)[picture, head]
        if bias.dtype == torch.bool:
            bias = torch.zeros(bias.shape, device=bias.device).masked_fill(~bias, float("-inf"))
    if reading.causal:
        ahead = torch.ones(full[2:], dtype=torch.bool).triu(1)
        bias = (torch.zeros(full[2:]) if bias is None else bias.cpu().float()).masked_fill(ahead, float("-inf"))
    return None if bias is None else _numpy(bias)


def _fitted_scale(q: Array, k: Array, hooked: Array) -> float | None:
    """Of attention made by hand the scale is not told: the slope of log p over q . k, both without their row means."""
    if not (hooked > 0).all():
        return None
    dots = q.astype(np.float64) @ k.astype(np.float64).T
    logs = np.log(hooked.astype(np.float64))
    dots, logs = dots - dots.mean(1, keepdims=True), logs - logs.mean(1, keepdims=True)
    size = float((dots**2).sum())
    return float((dots * logs).sum()) / size if size > 0 else None


def _numpy(x: Tensor) -> Array:
    return np.ascontiguousarray(x.detach().float().cpu().numpy())
