"""hierarchical-self-attention works: the nearest matrix to softmax that a hierarchy ties, by one pass up and down."""

from __future__ import annotations

import math

import torch
from torch import Tensor

import regard as rg
from regard.testing.marks import works

from .arithmetic import dense, drawn, flops, gap

hierarchical = rg.operators.hierarchical
TREES = ((2, 3), (3, 2, 2), (2, 2, 3))


def tokens(tree: tuple[int, ...], seed: int) -> list[Tensor]:
    return [drawn(1, 1, math.prod(tree), d, seed=3 * seed + i) for i, d in enumerate((4, 4, 3))]


def tied(tree: tuple[int, ...]) -> Tensor:
    """For each pair of tokens the number of its tie: the pair of sibling subtrees that part them."""
    n = math.prod(tree)
    numbers: dict[tuple[int, int, int], int] = {}
    found = torch.empty(n, n, dtype=torch.long)
    for i in range(n):
        for j in range(n):
            size, level = n, 0
            while level < len(tree) and i // size == j // size:
                size //= tree[level]
                level += 1
            found[i, j] = numbers.setdefault((level, i // size, j // size), len(numbers))
    return found


def divergence(w: Tensor, q: Tensor, k: Tensor) -> float:
    p = torch.softmax(q @ k.mT / 2, -1)[0, 0]
    return float((w * (w / p).log()).sum())


def ours(q: Tensor, k: Tensor, tree: tuple[int, ...]) -> Tensor:
    return hierarchical(q, k, torch.eye(q.shape[2], dtype=q.dtype)[None, None], branching=tree)[0, 0]


@works("hierarchical-self-attention")
def test_a_flat_hierarchy_is_softmax_attention() -> None:
    for n in (1, 5, 12):
        q, k, v = tokens((n,), 0)
        assert gap(hierarchical(q, k, v, branching=(n,)), dense(q, k, v)) < 1e-12


@works("hierarchical-self-attention")
def test_the_pass_equals_the_brute_force_solution() -> None:
    """The convex problem solved as such: minimise the divergence over one number a tie, under the row sums, by Newton's
    method on its optimality conditions. Three trees, three draws, weights to 1e-9."""
    for tree in TREES:
        ties = tied(tree)
        for seed in range(3):
            q, k, _ = tokens(tree, seed)
            assert gap(ours(q, k, tree), by_newton(q, k, ties)) < 1e-9


def by_newton(q: Tensor, k: Tensor, ties: Tensor) -> Tensor:
    """theta = exp(mean over the tie of log p + multipliers of its rows); Newton on the multipliers of the dual."""
    log_p = torch.log_softmax(q @ k.mT / 2, -1)[0, 0]
    n, count = len(ties), int(ties.max()) + 1
    rows = torch.zeros(n, count).double()  # how many entries of tie t lie in row i
    for i in range(n):
        rows[i] = torch.bincount(ties[i], minlength=count).double()
    size = rows.sum(0)
    mean = torch.zeros(count).double().index_add(0, ties.flatten(), log_p.flatten()) / size
    dual = torch.zeros(n).double()
    for _ in range(200):
        theta = (mean + rows.T @ dual / size).exp()
        miss = 1 - rows @ theta
        if float(miss.abs().max()) < 1e-13:
            break
        hessian = rows @ torch.diag(theta / size) @ rows.T
        step = torch.linalg.lstsq(hessian, miss[:, None]).solution[:, 0]
        dual = dual + step.clamp(-1, 1)
    return theta[ties]


@works("hierarchical-self-attention")
def test_no_random_tied_matrix_diverges_less() -> None:
    """100 for each of three trees, and as many points close by, between ours and them."""
    for tree in TREES:
        ties, (q, k, _) = tied(tree), tokens(tree, 7)
        best = ours(q, k, tree)
        lowest = divergence(best, q, k)
        for seed in range(100):
            far = by_newton(*(drawn(1, 1, len(ties), 12, seed=s) for s in (seed, 1000 + seed)), ties)
            assert gap(far.sum(-1), torch.ones(1).double()) < 1e-9
            for other in (far, 0.98 * best + 0.02 * far):
                assert divergence(other, q, k) > lowest


@works("hierarchical-self-attention")
def test_fewer_operations_than_dense_attention() -> None:
    """256 tokens in a 4-ary tree: under a twentieth; 1,024: under a sixtieth."""
    for n, share in ((256, 20), (1024, 60)):
        q, k, v = (drawn(1, 2, n, 16, seed=i) for i in range(3))
        assert share * flops(hierarchical, q, k, v) < flops(dense, q, k, v)
