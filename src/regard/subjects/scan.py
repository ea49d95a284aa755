"""`SelectiveScan`: the token mixer of Mamba, small and plain, and the attention that is hidden in it.

h_i = exp(D_i A) h_{i-1} + D_i B_i x_i, y_i = C_i h_i + D x_i, with D_i (the step), B_i and C_i made from x_i. Unrolled,
y = alpha x + D x with one lower-triangular matrix a channel,

    alpha_ij = C_i exp((sum_{k=j+1..i} step_k) A) step_j B_j
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

CHUNK = 1 << 22  # elements of alpha, with its states, held at a time


class Scanned(NamedTuple):
    """What a scan makes of its input: steps `[B, N, D]`, a `[D, S]`, b and c `[B, N, S]`."""

    step: Float[Tensor, "b n d"]
    a: Float[Tensor, "d s"]
    b: Float[Tensor, "b n s"]
    c: Float[Tensor, "b n s"]


@dataclass(frozen=True)
class Scan:
    """One selective scan of a run: where, what it made of its input, and the score's gradient at its output."""

    address: str
    made: Scanned
    gradient: Float[Tensor, "b n d"]


class SelectiveScan(nn.Module):
    """Selective state-space mixing of tokens `[B, N, D]`, in order; states: S numbers a channel."""

    def __init__(self, width: int, states: int = 8, rank: int = 4) -> None:
        super().__init__()
        self.rank, self.states = rank, states
        self.select = nn.Linear(width, rank + 2 * states, bias=False)
        self.step = nn.Linear(rank, width)
        self.log_a = nn.Parameter(torch.arange(1.0, states + 1).log().repeat(width, 1))
        self.skip = nn.Parameter(torch.ones(width))

    def scanned(self, x: Float[Tensor, "b n d"]) -> Scanned:
        """Step, A, B and C for an input."""
        low, b, c = self.select(x).split([self.rank, self.states, self.states], dim=-1)
        return Scanned(F.softplus(self.step(low)), -self.log_a.exp(), b, c)

    def forward(self, x: Float[Tensor, "b n d"]) -> Float[Tensor, "b n d"]:
        step, a, b, c = self.scanned(x)
        state = x.new_zeros(x.shape[0], x.shape[2], self.states)
        out = []
        for i in range(x.shape[1]):
            decay = (step[:, i, :, None] * a).exp()
            state = decay * state + (step[:, i] * x[:, i])[..., None] * b[:, i, None]
            out.append((state * c[:, i, None]).sum(-1))
        return torch.stack(out, 1) + self.skip * x


def hidden_attention(made: Scanned, channels: slice = slice(None)) -> Float[Tensor, "b d n n"]:
    """alpha of some channels, without the skip; from query i (rows) to key j <= i (columns)."""
    step, a = made.step[..., channels].mT, made.a[channels]
    upto = step.cumsum(-1)
    between = (upto[..., :, None] - upto[..., None, :]).tril()
    kernel = torch.einsum("bis,bdijs,bjs->bdij", made.c, (between[..., None] * a[:, None, None]).exp(), made.b)
    return (kernel * step[..., None, :]).tril()


def mean_attention(made: Scanned) -> Float[Tensor, "b n n"]:
    """The mean of alpha over channels, a few channels at a time."""
    batch, tokens, width = made.step.shape
    per = max(1, CHUNK // (batch * tokens**2 * made.a.shape[1]))
    total = made.step.new_zeros(batch, tokens, tokens)
    for first in range(0, width, per):
        total += hidden_attention(made, slice(first, first + per)).sum(1)
    return total / width
