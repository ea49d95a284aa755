"""Attention as it is written in a book, to hold edits against: in every form that models make it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import regard as rg

B, H, N, D = 2, 4, 7, 3

Slow = Callable[[Tensor, Tensor], Tensor]  # (logits, forbidden being -inf) and v -> out, each head by itself


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softmax(logits: Tensor) -> Tensor:
    return logits.softmax(-1).nan_to_num(0.0)


class Attention(nn.Module):
    """One call, fused or by hand; heads are the second axis, or merged into the first."""

    def __init__(self, bias: Tensor | None, *, causal: bool, how: str) -> None:
        super().__init__()
        self.bias, self.causal, self.how = bias, causal, how
        self.num_heads = H

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.how == "fused":
            return F.scaled_dot_product_attention(
                q, k, v, attn_mask=self.bias, is_causal=self.causal, enable_gqa=k.shape[1] != q.shape[1]
            )
        if self.how == "merged":
            q, k, v = (x.flatten(0, 1) for x in (q, k, v))
        scores = q @ k.mT * q.shape[-1] ** -0.5
        if self.bias is not None:
            bias = self.bias.expand(B, H, *scores.shape[-2:]).reshape(scores.shape)
            scores = scores.masked_fill(~bias, float("-inf")) if bias.dtype == torch.bool else scores + bias
        out = scores.softmax(-1) @ v
        return out.unflatten(0, (B, H)) if self.how == "merged" else out


@dataclass
class Case:
    """A way to make a call."""

    how: str = "fused"
    bias: Tensor | None = None
    causal: bool = False
    shared: int = H  # heads of k and v
    keys: int = N
    tensors: tuple[Tensor, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.tensors = (
            draw(B, H, N, D),
            draw(B, self.shared, self.keys, D, seed=1),
            draw(B, self.shared, self.keys, D, seed=2),
        )

    def logits(self, q: Tensor, k: Tensor) -> Tensor:
        s = q @ k.repeat_interleave(H // self.shared, 1).mT * D**-0.5
        if self.bias is not None:
            s = s.masked_fill(~self.bias, float("-inf")) if self.bias.dtype == torch.bool else s + self.bias
        if self.causal:
            s = s.masked_fill(torch.ones(N, self.keys).tril() == 0, float("-inf"))
        return s


SEEN = draw(B, 1, N, N, seed=5) > -0.5
SEEN[..., 0] = True
CASES = {
    "fused": Case(),
    "fused, other keys than queries": Case(keys=5),
    "fused, float bias": Case(bias=draw(1, H, N, N, seed=4)),
    "fused, bool mask": Case(bias=SEEN),
    "fused, causal": Case(causal=True),
    "fused, grouped": Case(shared=2),
    "by hand": Case(how="by hand"),
    "by hand, merged heads, bias": Case(how="merged", bias=draw(1, H, N, N, seed=4)),
    "by hand, mask": Case(how="by hand", bias=SEEN),
}
SQUARE = {name: case for name, case in CASES.items() if case.keys == N}


def check(edit: Any, slow: Slow, case: Case) -> None:
    """Output, gradients of q, k and v, and the probabilities that a watch sees, against the slow form."""
    module = Attention(case.bias, causal=case.causal, how=case.how)
    ours = [t.clone().requires_grad_() for t in case.tensors]
    theirs = [t.clone().requires_grad_() for t in case.tensors]
    with rg.watch(module, keep=["probs", "out"]) as record, rg.edit(module, edit):
        out = module(*ours)
    v = theirs[2].repeat_interleave(H // case.shared, 1)
    wanted = slow(case.logits(theirs[0], theirs[1]), v)
    torch.testing.assert_close(out, wanted, rtol=1e-9, atol=1e-10)
    torch.testing.assert_close(record["(root)"]["out"], wanted.detach(), rtol=1e-9, atol=1e-10)
    weight = draw(*out.shape, seed=9)
    got = torch.autograd.grad((out * weight).sum(), ours, allow_unused=True)
    expected = torch.autograd.grad((wanted * weight).sum(), theirs, allow_unused=True)
    for a, b, of in zip(got, expected, ours, strict=True):
        a, b = (torch.zeros_like(of) if g is None else g for g in (a, b))
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-9)
    assert float(record.error) < 1e-9


def probs_under(edit: Any, case: Case) -> Tensor:
    """The probabilities that a watch sees under an edit."""
    module = Attention(case.bias, causal=case.causal, how=case.how)
    with torch.no_grad(), rg.watch(module, keep="probs") as record, rg.edit(module, edit):
        module(*case.tensors)
    return record["(root)"]["probs"]


def plain(case: Case) -> Tensor:
    return Attention(case.bias, causal=case.causal, how=case.how)(*case.tensors)


def edited(edit: Any, case: Case) -> Tensor:
    module = Attention(case.bias, causal=case.causal, how=case.how)
    with rg.edit(module, edit):
        return module(*case.tensors)
