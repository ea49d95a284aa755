"""agent-attention works: two explicit softmax matrices, of low rank and linear cost."""

from __future__ import annotations

import torch

import regard as rg
from regard.testing.marks import works

from .arithmetic import drawn, flops, gap, with_gradients

agent = rg.operators.agent


@works("agent-attention")
def test_equals_the_product_of_two_softmax_matrices_with_rows_that_sum_to_one() -> None:
    """Outputs and gradients to 1e-12 over five draws; the product's rows sum to 1."""
    soft = lambda x, y: torch.softmax(x @ y.mT / 5**0.5, -1)  # noqa: E731
    for seed in range(5):
        sizes = ((9, 5), (11, 5), (11, 4), (4, 5))
        q, k, v, a = (drawn(2, 3, n, d, seed=10 * seed + i) for i, (n, d) in enumerate(sizes))
        explicit = with_gradients(lambda q, k, v, a: (soft(q, a) @ soft(a, k)) @ v, q, k, v, a)
        assert gap(with_gradients(agent, q, k, v, a), explicit) < 1e-12
        assert gap((soft(q, a) @ soft(a, k)).sum(-1), torch.ones(1).double()) < 1e-12
        assert gap(agent(q, k, torch.ones_like(v), a), torch.ones(1).double()) < 1e-12


@works("agent-attention")
def test_rank_is_at_most_the_number_of_agents() -> None:
    """For 1 to 6 agents of 40 tokens; softmax attention of the same tensors has full rank."""
    q, k = drawn(1, 1, 40, 16), drawn(1, 1, 40, 16, seed=1)
    eye = torch.eye(40, dtype=q.dtype)[None, None]
    for count in range(1, 7):
        agents = q.flatten(0, 2)[: 6 * count].unflatten(0, (count, 6)).mean(1)[None, None]
        assert int(torch.linalg.matrix_rank(agent(q, k, eye, agents)[0, 0])) <= count
    assert int(torch.linalg.matrix_rank(torch.softmax(q @ k.mT / 4, -1)[0, 0])) == 40


@works("agent-attention")
def test_cost_is_linear_in_tokens_for_fixed_agents() -> None:
    agents = drawn(1, 2, 49, 16, seed=9)
    few, many = ([drawn(1, 2, n, 16, seed=i) for i in range(3)] for n in (256, 512))
    assert flops(agent, *many, agents) == 2 * flops(agent, *few, agents)
