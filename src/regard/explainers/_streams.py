"""Which tokens a call's queries and keys are: the streams of a model of several, and relevance between them.

A call is self-attention where its queries and keys rest on the same calls, cross-attention where they rest on others:
so streams of equal length are told apart, and calls that look across at the same time from those one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import CallError
from regard.explainers._calls import Caught

Pair = tuple[int, int]


@dataclass
class Streams:
    """Relevances `R[s, t]` `[B, N_s, N_t]` of the tokens of stream t for those of stream s, and each call's streams.

    found: the relevances that each of the last calls found, as long as all of them look across.
    """

    sizes: list[int] = field(default_factory=list)
    relevance: dict[Pair, Tensor] = field(default_factory=dict)
    sides: list[Pair] = field(default_factory=list)
    found: list[dict[Pair, Tensor]] = field(default_factory=list)

    def follow(self, calls: list[Caught]) -> Streams:
        """Take every call in, in order."""
        for number, one in enumerate(calls):
            queries = self._side(one.of_queries, one.call.queries, one)
            same = one.of_queries == one.of_keys and one.call.queries == one.call.keys
            keys = queries if same else self._side(one.of_keys, one.call.keys, one, other=queries)
            self.sides.append((queries, keys))
            if queries == keys:
                self.found.clear()
                self._within(_positive(one), queries)
            else:
                self.found.append(dict(self.relevance))
                self._across(_positive(one), queries, keys, self._before(number, one))
        return self

    def _side(self, rests_on: frozenset[int], count: int, one: Caught, other: int | None = None) -> int:
        """The stream that some tokens are; a new one where they rest on no call."""
        found = {self.sides[number][0] for number in rests_on}
        if not found:
            self.sizes.append(count)
            new = len(self.sizes) - 1
            eye = torch.eye(count, dtype=one.slope.dtype, device=one.slope.device)
            for stream, size in enumerate(self.sizes):
                zero = eye.new_zeros(len(one.slope), count, size)
                for known in (self.relevance, *self.found):
                    known[new, stream], known[stream, new] = zero, zero.mT
            for known in (self.relevance, *self.found):
                known[new, new] = eye.expand(len(one.slope), -1, -1)
            return new
        if len(found) > 1 or self.sizes[min(found)] != count or min(found) == other:
            told = " and ".join(f"stream {stream} of {self.sizes[stream]} tokens" for stream in sorted(found))
            raise CallError(
                f"{one.call.site}: {count} tokens made of {told}: tokens were joined, cut or pooled on the way",
                hint="models whose streams keep their tokens; attention_x_gradient for one call",
            )
        return min(found)

    def _within(self, passed: Tensor, own: int) -> None:
        """R^ss += A R^ss and R^st += A R^st."""
        for stream in range(len(self.sizes)):
            self.relevance[own, stream] = self.relevance[own, stream] + passed @ self.relevance[own, stream]

    def _across(self, passed: Tensor, own: int, other: int, seen: dict[Pair, Tensor]) -> None:
        """R^st += (n R^ss)^T A (n R^tt) and R^ss += A R^ts, n the row-normalised R - I, plus I."""
        added = _normalised(seen[own, own]).mT @ passed @ _normalised(seen[other, other])
        back = passed @ seen[other, own]
        self.relevance[own, other] = self.relevance[own, other] + added
        self.relevance[own, own] = self.relevance[own, own] + back

    def _before(self, number: int, one: Caught) -> dict[Pair, Tensor]:
        """Relevances as the call found them: without what calls just before it added that it does not rest on."""
        steps = 1
        while steps < len(self.found) and number - steps not in one.of_queries | one.of_keys:
            steps += 1
        return self.found[-steps]


def _positive(one: Caught) -> Float[Tensor, "b q k"]:
    """mean_h max(0, A_h dy/dA_h)."""
    return (one.call.probs() * (one.slope @ one.call.values_per_head.mT)).clamp_min(0).mean(1)


def _normalised(relevance: Float[Tensor, "b n n"]) -> Float[Tensor, "b n n"]:
    eye = torch.eye(relevance.shape[-1], dtype=relevance.dtype, device=relevance.device)
    beyond = relevance - eye
    total = beyond.sum(-1, keepdim=True)
    return torch.where(total > 0, beyond / torch.where(total > 0, total, 1.0), torch.zeros_like(beyond)) + eye
