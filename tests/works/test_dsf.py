"""dsf works: linear attention, selective state spaces and truncated softmax are one recurrence with other matrices."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor
from torch.nn import functional as F

import regard as rg
from regard.testing.marks import works

from .arithmetic import drawn, gap, with_gradients

FORMS = ("parallel", "recurrent", "chunked")


def system(decay: Tensor, b: Tensor, c: Tensor, d: Tensor, u: Tensor) -> Tensor:
    """h_i = Lambda_i h_{i-1} + B_i u_i, y_i = C_i h_i + D_i u_i, step by step.

    decay [N, S] (a diagonal Lambda), b and c [N, S], d and u [N, E]: the state is S x E, one column for each input.
    """
    state, rows = u.new_zeros(b.shape[1], u.shape[1]), []
    for i in range(len(u)):
        state = decay[i, :, None] * state + b[i, :, None] * u[i]
        rows.append(c[i] @ state + d[i] * u[i])
    return torch.stack(rows)


def one(x: Tensor) -> Tensor:
    return x[None, None]


@works("dsf")
def test_the_recurrence_is_linear_attention() -> None:
    """Lambda = I, B = phi(k), C = phi(q), u = v, D = 0: outputs and gradients in all three forms, to 1e-10."""
    q, k, v = drawn(40, 5), drawn(40, 5, seed=1), drawn(40, 3, seed=2)

    def by_steps(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return system(torch.ones_like(k), F.elu(k) + 1, F.elu(q) + 1, torch.zeros_like(v), v)

    slow = with_gradients(by_steps, q, k, v)
    for form in FORMS:
        fast = with_gradients(
            lambda q, k, v, f=form: rg.operators.linear(
                one(q), one(k), one(v), causal=True, normalise=False, form=f, chunk=7
            )[0, 0],
            q, k, v,
        )  # fmt: skip
        assert gap(fast, slow) < 1e-10


@works("dsf")
def test_the_recurrence_is_a_selective_state_space_model() -> None:
    """Six channels with a state of five each: Lambda = exp(Delta A), B u = Delta B u, as one head a channel.

    The skip D u is added outside; outputs and gradients of Delta, B, C and u in all three forms, to 1e-10.
    """
    n, channels, state = 30, 6, 5
    step, b, c, u = drawn(n, channels), drawn(n, state, seed=1), drawn(n, state, seed=2), drawn(n, channels, seed=3)
    a, skip = -drawn(channels, state, seed=4).abs(), drawn(channels, seed=5)

    def by_steps(step: Tensor, b: Tensor, c: Tensor, u: Tensor) -> Tensor:
        delta = F.softplus(step)
        return torch.cat([
            system((delta[:, e, None] * a[e]).exp(), delta[:, e, None] * b, c, skip[e].expand(n, 1), u[:, e, None])
            for e in range(channels)
        ], 1)  # fmt: skip

    def by_operator(form: str):  # type: ignore[no-untyped-def]
        def run(step: Tensor, b: Tensor, c: Tensor, u: Tensor) -> Tensor:
            delta = F.softplus(step).T[None, :, :, None]  # [1, channels, N, 1]
            shape = (1, channels, n, state)
            q, k, v = c.expand(shape), delta * b, u.T[None, :, :, None]
            gate = delta * a[:, None]
            out = rg.operators.gated_linear(q, k, v, gate, scale=1.0, form=form, chunk=7)  # type: ignore[arg-type]
            return out[0, ..., 0].T + skip * u

        return run

    slow = with_gradients(by_steps, step, b, c, u)
    for form in FORMS:
        assert gap(with_gradients(by_operator(form), step, b, c, u), slow) < 1e-10
    frozen = by_operator("parallel")(torch.zeros_like(step), b, c, u)
    assert gap(frozen, slow[0]) > 0.01  # a planted fault: steps that do not depend on the input


def features(x: Tensor, order: int) -> Tensor:
    """All monomials up to an order, so that products are sum_p s^p / p! for s = x . y."""
    parts, power = [torch.ones_like(x[..., :1])], torch.ones_like(x[..., :1])
    for p in range(1, order + 1):
        power = (power[..., :, None] * x[..., None, :]).flatten(-2)
        parts.append(power / math.sqrt(math.factorial(p)))
    return torch.cat(parts, -1)


@works("dsf")
def test_the_error_of_truncated_softmax_falls_with_the_state() -> None:
    """Causal softmax attention from features up to order 0 .. 6, for three draws: each larger state errs less, and the
    largest (5,461 numbers a value, for keys of width 4) by under a hundredth of the first.
    """
    for seed in range(3):
        q, k, v = (drawn(1, 1, 24, 4, seed=10 * seed + i) for i in range(3))
        q = q / 8
        logits = (q @ k.mT).masked_fill(torch.ones(24, 24, dtype=torch.bool).triu(1), float("-inf"))
        exact, errors, states = torch.softmax(logits, -1) @ v, [], []
        ones = torch.cat([v, torch.ones_like(v[..., :1])], -1)
        for order in range(7):
            a, b = features(q, order), features(k, order)
            out = rg.operators.linear(a, b, ones, feature="none", normalise=False, causal=True, form="recurrent")
            errors.append(float((out[..., :-1] / out[..., -1:] - exact).norm()))
            states.append(a.shape[-1])
        assert states == sorted(states)
        assert all(more < less for less, more in itertools.pairwise(errors)), errors
        assert errors[-1] < errors[0] / 100, errors
