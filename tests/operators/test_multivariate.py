from __future__ import annotations

import pytest
import torch
from torch import Tensor

import regard as rg

from .tools import agree, drawn, qkv, refuses

multivariate = rg.operators.multivariate


def slow(causal: bool):  # type: ignore[no-untyped-def]
    def pair_by_pair(q: Tensor, k: Tensor, v: Tensor, r: Tensor, c: Tensor, biases: Tensor) -> Tensor:
        """Three channels, four times."""
        rows = []
        for i in range(12):
            s = []
            for j in range(12):
                if causal and j % 4 > i % 4:
                    s.append(torch.full((2, 3), float("-inf"), dtype=q.dtype))
                    continue
                content = ((q[:, :, i] + biases[0]) * k[:, :, j]).sum(-1)
                time = ((q[:, :, i] + biases[1]) * r[:, 3 - (i % 4 - j % 4)]).sum(-1)
                channel = ((q[:, :, i] + biases[2]) * c[:, :, j // 4]).sum(-1)
                s.append((content + time + channel) / 2)
            rows.append((torch.softmax(torch.stack(s, -1), -1)[..., None] * v).sum(2))
        return torch.stack(rows, 2)

    return pair_by_pair


@pytest.mark.parametrize("causal", [True, False])
def test_equals_three_terms_for_each_pair(causal: bool) -> None:
    times, channels, biases = drawn((3, 7, 4), (2, 3, 3, 4), (3, 3, 4), seed=1)
    agree(
        lambda q, k, v, r, c, b: multivariate(q, k, v, r, c, biases=b, causal=causal), slow(causal),
        *qkv(q=12, k=12), times, channels, biases,
    )  # fmt: skip


def test_the_planted_fault_channel_keys_that_stay_while_channels_move() -> None:
    (q, k, v), (times, channels) = qkv(q=12, k=12), drawn((3, 7, 4), (1, 3, 3, 4), seed=1)
    order = torch.tensor([2, 0, 1])
    move = lambda x: x.unflatten(2, (3, 4))[:, :, order].flatten(2, 3)  # noqa: E731
    out = multivariate(q, k, v, times, channels)
    assert torch.allclose(multivariate(move(q), move(k), move(v), times, channels[:, :, order]), move(out), atol=1e-12)
    assert not torch.allclose(multivariate(move(q), move(k), move(v), times, channels), move(out), atol=0.01)


def test_refusals() -> None:
    (q, k, v), (times, channels) = qkv(q=12, k=12), drawn((3, 7, 4), (1, 3, 3, 4))
    refuses("12 tokens, 3 channels and 6 offsets", "2 T - 1", multivariate, q, k, v, times[:, 1:], channels)
    refuses("12 tokens, 2 channels", "C T tokens", multivariate, q, k, v, times, channels[:, :, :2])
