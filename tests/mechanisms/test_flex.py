"""flex_attention: masks and changed scores read as the op uses them, and edits that equal hand-written attention."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

import regard as rg

B, H, N, D = 2, 3, 9, 4


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch: the unfused form is slow
        yield


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


TABLE = draw(H, N, N, seed=4)
CHANGES: dict[str, tuple[Callable[..., Tensor] | None, Callable[..., Tensor] | None]] = {
    "plain": (None, None),
    "a table of biases": (lambda s, b, h, i, j: s + TABLE[h, i, j], None),
    "soft cap, causal": (lambda s, b, h, i, j: 5 * torch.tanh(s / 5), lambda b, h, i, j: i >= j),
    "a mask of each picture": (None, lambda b, h, i, j: (i - j).abs() <= b + 1),
}


def wanted_logits(q: Tensor, k: Tensor, name: str) -> Tensor:
    score, mask = CHANGES[name]
    s = q @ k.mT * D**-0.5
    for b in range(B):
        for h in range(H):
            for i in range(N):
                for j in range(N):
                    at = [torch.tensor(x) for x in (b, h, i, j)]
                    if score is not None:
                        s[b, h, i, j] = score(s[b, h, i, j], *at)
                    if mask is not None and not mask(*at):
                        s[b, h, i, j] = float("-inf")
    return s


class Flex(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.score, mask = CHANGES[name]
        self.block: Any = None if mask is None else create_block_mask(mask, B, H, N, N, device="cpu")

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
        return flex_attention(q, k, v, score_mod=self.score, block_mask=self.block)


@pytest.mark.parametrize("name", CHANGES)
def test_scores_and_masks_are_read_and_edited(name: str) -> None:
    net, q, k, v = Flex(name), draw(B, H, N, D, seed=1), draw(B, H, N, D, seed=2), draw(B, H, N, D, seed=3)
    plain = net(q, k, v)
    with rg.watch(net, keep=["probs", "entropy", "out"]) as record:
        assert torch.equal(net(q, k, v), plain)
    (reading,) = record
    assert (reading.mechanism, float(reading.error) < 1e-5) == ("flex", True)
    s = wanted_logits(q, k, name)
    torch.testing.assert_close(reading["probs"], s.softmax(-1), rtol=1e-4, atol=1e-6)
    with rg.edit(net, rg.edits.temperature(0.5) >> rg.edits.knockout(keys=[0], heads=[1])):
        edited = net(q, k, v)
    s = s / 0.5
    s[:, 1, :, 0] = float("-inf")
    torch.testing.assert_close(edited, s.softmax(-1).nan_to_num(0.0) @ v, rtol=1e-4, atol=1e-6)


def test_the_lse_still_comes_when_it_is_asked_for() -> None:
    class WithLse(Flex):
        def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Any:
            return flex_attention(q, k, v, return_lse=True)

    net, q = WithLse("plain"), draw(B, H, N, D)
    with rg.edit(net, rg.edits.ablate()):
        out, lse = net(q, q, q)
    assert not out.any()
    torch.testing.assert_close(lse, (q @ q.mT * D**-0.5).logsumexp(-1), rtol=1e-4, atol=1e-5)
