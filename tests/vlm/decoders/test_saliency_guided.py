from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import LayoutError
from regard.vlm.decoders import saliency_guided

VOCAB, WIDTH, HEADS = 9, 8, 2


class Writer(nn.Module):
    """Two layers of causal attention over random words, fused; by hand, with extra logits, where `matrices` is set."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(seed)
        self.words = nn.Parameter(torch.randn(VOCAB, WIDTH, generator=draws).double())
        self.qkv = nn.ParameterList(torch.randn(3, WIDTH, WIDTH, generator=draws).double() / 3 for _ in range(2))
        self.matrices: list[Tensor] | None = None
        self.added: Tensor | None = None

    def forward(self, words: Tensor) -> Tensor:
        x = self.words[words]
        for weights in self.qkv:
            q, k, v = ((x @ w).unflatten(2, (HEADS, -1)).transpose(1, 2) for w in weights)
            if self.matrices is None:
                made = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            else:
                logits = q @ k.mT / 2 + (0 if self.added is None else self.added)
                past = torch.ones(logits.shape[-2:], dtype=torch.bool).tril()
                self.matrices.append(logits.masked_fill(~past, float("-inf")).softmax(-1))
                made = self.matrices[-1] @ v
            x = x + made.transpose(1, 2).flatten(2)
        return x @ self.words.T


def by_hand(
    model: Writer, words: Tensor, steps: int, candidates: int, share: float, window: int, strength: float
) -> tuple[Tensor, int]:
    """Every step written out, matrices retained."""
    start, accepted, rejected = words.shape[1], [], 0
    for _ in range(steps):
        n = words.shape[1]
        model.matrices, model.added = [], torch.zeros(n, n).double()
        for i in range(start - 1, n):
            for j in range(max(0, i - window + 1), i + 1):
                model.added[i, j] = torch.tensor(1 + strength).double().log()
        row = model(words)[0, -1].log_softmax(0)
        scores = {}
        limit = share * torch.tensor(accepted[-window:]).double().mean() if accepted else 0.0
        taken = None
        for token in row.topk(candidates).indices.tolist():
            slopes = torch.autograd.grad(-row[token], model.matrices, retain_graph=True)
            rows = [(a * g)[0, :, -1].abs().mean(0) for a, g in zip(model.matrices, slopes, strict=True)]
            told = torch.stack([one / one.square().sum().sqrt() for one in rows])[:, start:]
            scores[token] = float(told.detach().mean()) if n > start else 0.0
            if n == start or scores[token] >= limit:
                taken = token
                break
        taken = max(scores, key=lambda token: scores[token]) if taken is None else taken
        rejected += len(scores) - 1
        if n > start:
            accepted.append(scores[taken])
        words = torch.cat([words, torch.tensor([[taken]])], 1)
    model.matrices = None
    return words, rejected


@pytest.mark.parametrize(("share", "strength"), [(0.6, 0.0), (1.3, 0.0), (1.1, 0.7)])
def test_is_the_loop_written_out(share: float, strength: float) -> None:
    model, words = Writer(), torch.tensor([[3, 1, 4]])
    got = saliency_guided(model, words, steps=6, share=share, window=2, strength=strength)
    wanted, rejected = by_hand(model, words, 6, 3, share, 2, strength)
    assert got.words.tolist() == wanted.tolist()
    assert got.rejected == rejected
    assert (rejected > 0) == (share > 1)
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_without_threshold_and_strength_it_is_greedy() -> None:
    for seed in range(5):
        model, words = Writer(seed), torch.tensor([[3, 1, 4]])
        got = saliency_guided(model, words, steps=6, share=0.0)
        with torch.no_grad():
            for _ in range(6):
                words = torch.cat([words, model(words)[:, -1:].argmax(2)], 1)
        assert torch.equal(got.words, words)
        assert got.rejected == 0


def test_refusals() -> None:
    with pytest.raises(LayoutError, match="2 texts, 20 steps of 3 candidates"):
        saliency_guided(Writer(), torch.ones(2, 3, dtype=torch.long))
    with pytest.raises(LayoutError, match="strength -1"):
        saliency_guided(Writer(), torch.ones(1, 3, dtype=torch.long), strength=-1.0)
