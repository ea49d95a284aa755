"""Against a constrained minimisation of the divergence itself, by projected steps over the tied weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import regard as rg

from .tools import agree, dense, qkv, refuses

hierarchical = rg.operators.hierarchical


def weights(q: Tensor, k: Tensor, tree: tuple[int, ...]) -> Tensor:
    """The matrix itself, read off the operator with identity values."""
    eye = torch.eye(q.shape[2], dtype=q.dtype).expand(*q.shape[:2], -1, -1)
    return hierarchical(q, k, eye, branching=tree)


def node(tree: tuple[int, ...], level: int, token: int) -> int:
    return token // math.prod(tree[level:])


def slow(tree: tuple[int, ...]):  # type: ignore[no-untyped-def]
    """The definition of the recursion, one subtree at a time."""

    def inside(s: Tensor, depth: int) -> Tensor:
        """(free energy per token, weights) of one subtree with logits s [n, n]."""
        n = s.shape[0]
        if depth == len(tree):
            return s[0, 0], torch.ones(1, 1, dtype=s.dtype)
        step, energies, rows = n // tree[depth], [], []
        for a in range(0, n, step):
            energy, within = inside(s[a : a + step, a : a + step], depth + 1)
            options = [
                energy if b == a else s[a : a + step, b : b + step].mean() + math.log(step) for b in range(0, n, step)
            ]
            share = torch.softmax(torch.stack(options), 0)
            energies.append(torch.logsumexp(torch.stack(options), 0))
            rows.append(torch.cat([
                share[i] * within if b == a else (share[i] / step).expand(step, step)
                for i, b in enumerate(range(0, n, step))
            ], 1))  # fmt: skip
        return torch.stack(energies).mean(), torch.cat(rows)

    def whole(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        s = q @ k.mT / q.shape[-1] ** 0.5
        return torch.stack([torch.stack([inside(s[b, h], 0)[1] @ v[b, h] for h in range(3)]) for b in range(2)])

    return whole


@pytest.mark.parametrize("tree", [(12,), (3, 4), (4, 3), (2, 3, 2), (2, 1, 6)])
def test_equals_the_recursion_on_matrices(tree: tuple[int, ...]) -> None:
    agree(lambda *x: hierarchical(*x, branching=tree), slow(tree), *qkv(q=12, k=12))


def test_flat_is_softmax() -> None:
    inputs = qkv(q=12, k=12)
    assert torch.allclose(hierarchical(*inputs, branching=(12,)), dense(*inputs), atol=1e-12)
    assert torch.equal(hierarchical(*inputs, branching=(1, 12)), hierarchical(*inputs, branching=(12,)))
    assert not torch.allclose(hierarchical(*inputs, branching=(3, 4)), dense(*inputs), atol=0.01)


@pytest.mark.parametrize("tree", [(3, 4), (2, 3, 2)])
def test_weights_are_tied_rows_sum_to_one_and_no_step_lowers_the_divergence(tree: tuple[int, ...]) -> None:
    """A minimum of a convex problem: its gradient, along every direction that keeps ties and row sums, is zero."""
    q, k, _ = qkv(q=12, k=12)
    w = weights(q, k, tree)
    assert torch.allclose(w.sum(-1), torch.ones(1).double())
    ties: dict[tuple[int, ...], list[tuple[int, int]]] = {}
    for i in range(12):
        for j in range(12):
            level = next((n + 1 for n in range(len(tree)) if node(tree, n + 1, i) != node(tree, n + 1, j)), len(tree))
            ties.setdefault((level, node(tree, level, i), node(tree, level, j)), []).append((i, j))
    basis = torch.zeros(len(ties), 12, 12).double()
    for n, pairs in enumerate(ties.values()):
        rows, columns = zip(*pairs, strict=True)
        basis[n, list(rows), list(columns)] = 1
        assert float((w[..., list(rows), list(columns)].std(-1) if len(pairs) > 1 else torch.zeros(1)).max()) < 1e-12
    keeps_rows = torch.linalg.svd(basis.sum(-1).T)  # directions c with sum_n c_n rows_n = 0
    rank = int((keeps_rows.S > 1e-9).sum())
    free = keeps_rows.Vh[rank:]
    slope = (w / torch.softmax(q @ k.mT / 2, -1)).log() + 1  # of sum w log(w / p)
    along = torch.einsum("fn,nij,bhij->bhf", free, basis, slope)
    assert float(along.abs().max()) < 1e-9
    assert float(torch.einsum("fn,nij,bhij->bhf", free, basis, (w * 1.1 + 0.01).log()).abs().max()) > 1e-3


def test_refusals() -> None:
    refuses("branching (5, 2) for 12 tokens", "whose product", hierarchical, *qkv(q=12, k=12), branching=(5, 2))
    refuses("branching (4, 4) for 12 tokens", "whose product", hierarchical, *qkv(q=12, k=12))
