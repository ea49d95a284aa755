"""Relevance of attention matrices: what Chefer's first rule multiplies with their gradients, layer by layer.

Two forwards, a backward each: one as the model is, one under the rules. With out = A V, the gradient of A is G V^T and
its relevance A * (C V^T) / 2, G and C what backward brings to out: no matrix is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from regard.core.call import Call
from regard.core.track import EINSUMS, PRODUCTS
from regard.core.watch import Watch
from regard.errors import CallError, DegenerateError
from regard.explainers._calls import caught
from regard.explainers._relevance import CONVOLUTIONS, SOFTMAX, Relevance, _Passed
from regard.layout import Grid
from regard.subjects.rows import last_on_grid
from regard.subjects.scorer import Scorer

SUMS: frozenset[Any] = frozenset({torch.add, Tensor.add, Tensor.__add__, Tensor.__radd__, Tensor.__iadd__})


class Through(Relevance):
    """Nothing is held fixed: of a product, A V or Q K^T, each factor gets half; normalisation and softmax hand all on;
    the parts of a residual sum share it by the size of their own sums; linear layers have the zplus rule too."""

    RULED = CONVOLUTIONS | {F.linear}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.layer_norm or func in SOFTMAX:
            return _Passed.apply(args[0], lambda z: func(z, *args[1:], **kwargs))
        if func is F.scaled_dot_product_attention:
            return _attended(*args, **kwargs)
        if func in PRODUCTS or func in EINSUMS:
            factors = [one for one in args if isinstance(one, Tensor) and one.requires_grad]
            out = func(*args, **kwargs)
            return _Halved.apply(out) if len(factors) == 2 else out
        if func in SUMS and not kwargs and _alike(*args):
            return _Added.apply(*args)
        return super().__torch_function__(func, types, args, kwargs)


def _alike(a: Any, b: Any) -> bool:
    both = isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape == b.shape and a.ndim > 2
    return both and (a.requires_grad or b.requires_grad)


class _Halved(torch.autograd.Function):
    """The product of two tensors that are both relevant."""

    @staticmethod
    def forward(ctx: Any, out: Tensor) -> Tensor:
        return out.view_as(out)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad / 2


class _Added(torch.autograd.Function):
    """a + b: R_a = c a |A| (A + B) / (A (|A| + |B|)), A the sum of c a over a picture; so none grows by cancelling."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return a + b

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        sums = [(one * grad).flatten(1).sum(1).view(-1, *(1,) * (grad.ndim - 1)) for one in ctx.saved_tensors]
        total = (sums[0].abs() + sums[1].abs()).clamp_min(torch.finfo(grad.dtype).tiny)
        first, second = (grad * one.sign() * (sums[0] + sums[1]) / total for one in sums)
        return first, second


def _attended(
    q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0, is_causal: bool = False,
    *, scale: float | None = None, enable_gqa: bool = False,
) -> Tensor:  # fmt: skip
    if dropout_p:
        raise CallError("attention drops weights at random, so its relevance cannot be told", hint="model.eval()")
    facts = Call(
        "attention", 0, "sdpa", bias=attn_mask, causal=is_causal, scale=q.shape[-1] ** -0.5 if scale is None else scale
    )  # fmt: skip

    def run(*three: Tensor) -> Tensor:
        how = {"attn_mask": attn_mask, "is_causal": is_causal, "scale": scale, "enable_gqa": enable_gqa}
        return F.scaled_dot_product_attention(*three, **how)  # type: ignore[arg-type]

    made: Tensor = _Attended.apply(q, k, v, facts, run)
    return made


class _Attended(torch.autograd.Function):
    """R_A = A (C V^T) / 2 and R_V its other half; the softmax hands R_A on, of which Q and K of Q K^T get half each."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, facts: Call, run: Callable[..., Tensor]) -> Tensor:
        ctx.save_for_backward(q, k, v)
        ctx.facts = facts
        return run(q, k, v)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v = ctx.saved_tensors
        with torch.no_grad(), torch._C.DisableTorchFunction():
            call = replace(ctx.facts, q=q, k=k, v=v)
            keys, values = call._keys_per_head, call.values_per_head
            probs = call.probs()
            product = q @ keys.mT
            share = probs * (grad @ values.mT) / 2 / torch.where(product == 0, torch.ones_like(product), product)
            of_q, of_k, of_v = share @ keys / 2, share.mT @ q / 2, probs.mT @ grad / 2
        groups = q.shape[1] // k.shape[1]
        return of_q, *(one.unflatten(1, (-1, groups)).sum(2) for one in (of_k, of_v)), None, None


@dataclass(frozen=True)
class Layer:
    """A call with what backward brings to its output: the gradient of the score, and relevance as a share of it."""

    call: Call
    slope: Float[Tensor, "b h q d"]
    share: Float[Tensor, "b h q d"]

    def pushed(self, row: Float[Tensor, "b q"]) -> Float[Tensor, "b k"]:
        """row (I + mean_h max(0, dy/dA * R_A)), a block of queries at a time."""
        values, total = self.call.values_per_head.mT, row.clone()
        for rows in self.call.blocks():
            here = slice(rows.start, rows.stop)
            part = (self.slope[:, :, here] @ values) * rows.probs * (self.share[:, :, here] @ values) / 2
            total += (row[:, None, here] @ part.clamp_min(0).mean(1))[:, 0]
        return total


def layers_on_grid(score: Scorer) -> tuple[list[Layer], Grid, list[str]]:
    """Every self-attention on the model's grid, in order, with the grid and their addresses. Relevance starts at 1."""
    if bool((score.value == 0).any()):
        raise DegenerateError(f"the score of {score.target.label} is 0: it has no shares", hint="another target")
    on = score.on
    with Watch(on.model, on.mechanisms, "*", ()) as record:
        plain = caught(score)
    grid = last_on_grid(record, -1).grid
    assert grid is not None
    assert len(plain) == len(record)
    shares = caught(score, Through("zplus", 0.0, on.mechanisms.opens), relative=True)
    chosen = [i for i, reading in enumerate(record) if reading.grid == grid]
    made = [Layer(plain[i].call, plain[i].slope, shares[i].slope) for i in chosen]
    return made, grid, [record[i].address for i in chosen]
