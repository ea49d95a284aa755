from __future__ import annotations

import torch

import regard as rg

from .tools import agree, drawn, qkv, refuses

agent = rg.operators.agent


def test_equals_two_explicit_softmax_matrices() -> None:
    q, k, v = qkv(q=6, k=9)
    agents, to_keys, to_agents = drawn((2, 3, 4, 4), (1, 3, 4, 9), (2, 1, 6, 4), seed=2)
    agree(
        lambda q, k, v, a, x, y: agent(q, k, v, a, agent_bias=x, query_bias=y),
        lambda q, k, v, a, x, y: torch.softmax(q @ a.mT / 2 + y, -1) @ (torch.softmax(a @ k.mT / 2 + x, -1) @ v),
        q, k, v, agents, to_keys, to_agents,
    )  # fmt: skip


def test_scale_and_the_planted_fault_agents_that_are_keys_are_not_dense_attention() -> None:
    q, k, v = qkv()
    sharp = agent(q, k, v, k, scale=1e4)
    best = v.gather(2, (q @ k.mT).argmax(-1)[..., None].expand_as(v))
    found = v.gather(2, (k @ k.mT).argmax(-1)[..., None].expand_as(v)).gather(
        2, (q @ k.mT).argmax(-1)[..., None].expand_as(v)
    )
    assert torch.allclose(sharp, found)
    assert not torch.allclose(agent(q, k, v, k), best)


def test_refusals() -> None:
    q, k, v = qkv()
    refuses("q [2, 3, 7, 3]", "k [B, H, K, D]", agent, q, k, v, q[..., :3])
    refuses("q is [3, 7, 4]", "floats", agent, q, k, v, q[0])
