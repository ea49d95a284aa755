from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import CallError
from regard.explainers._calls import caught
from regard.explainers._streams import Streams
from regard.mechanisms import ALL
from regard.subjects.forward import Subject
from regard.subjects.scorer import Scorer

from .models import draw

Matrices = list[Tensor]


class Attention(nn.Module):
    """Residual attention of one stream to another; keeps its matrix where `kept` is a list, and is fused otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.proj = (nn.Linear(6, 6) for _ in range(4))
        self.kept: Matrices | None = None

    def forward(self, x: Tensor, other: Tensor) -> Tensor:
        q, k, v = (
            part(one).unflatten(2, (2, 3)).transpose(1, 2)
            for part, one in ((self.q, x), (self.k, other), (self.v, other))
        )
        if self.kept is None:
            made = F.scaled_dot_product_attention(q, k, v)
        else:
            a = (q @ k.mT * 3**-0.5).softmax(-1)
            self.kept.append(a)
            made = a @ v
        return x + self.proj(made.transpose(1, 2).flatten(2))


class Two(nn.Module):
    """Two streams: each looks at itself, then at the other, `turns` times; the score reads the first stream.

    order: "together" (co-attention), or "after": the second looks at what the first has become.
    """

    def __init__(self, order: str, *, turns: int = 2, sizes: Sequence[int] = (4, 5)) -> None:
        super().__init__()
        self.order, self.sizes = order, sizes
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            self.turns = nn.ModuleList(nn.ModuleList(Attention() for _ in range(4)) for _ in range(turns))
            self.head = nn.Linear(6, 3)
            self.head.weight.data *= 300  # so that what comes second order is not lost in what comes first
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.split(self.sizes, dim=1)
        a, b = a.tanh(), b.sin()
        for own_a, own_b, a_to_b, b_to_a in self.turns:  # type: ignore[misc]
            a, b = own_a(a, a), own_b(b, b)
            seen = a
            a = a_to_b(a, b)
            b = b_to_a(b, seen if self.order == "together" else a)
        return self.head(a[:, 0])


def normalised(r: Tensor) -> Tensor:
    eye = torch.eye(len(r), dtype=r.dtype)
    beyond = r - eye
    return torch.stack([row / row.sum() if row.sum() > 0 else row for row in beyond]) + eye


def explicit(model: Two, x: Tensor) -> dict[tuple[int, int], Tensor]:
    """Equations 5 to 11 for one picture, written out call by call."""
    kept: Matrices = []
    for module in model.modules():
        if isinstance(module, Attention):
            module.kept = kept
    slopes = torch.autograd.grad(model(x)[0, 1], kept, allow_unused=True)
    for module in model.modules():
        if isinstance(module, Attention):
            module.kept = None
    passed = [
        torch.zeros_like(a[0, 0]) if g is None else (a * g).clamp_min(0).mean(1)[0].detach()
        for a, g in zip(kept, slopes, strict=True)
    ]
    n, m = model.sizes
    aa, bb = torch.eye(n).double(), torch.eye(m).double()
    ab, ba = torch.zeros(n, m).double(), torch.zeros(m, n).double()
    for own_a, own_b, a_to_b, b_to_a in zip(*[iter(passed)] * 4, strict=True):
        aa, ab = aa + own_a @ aa, ab + own_a @ ab
        bb, ba = bb + own_b @ bb, ba + own_b @ ba
        seen_aa, seen_ab = aa, ab
        new_ab = ab + normalised(aa).T @ a_to_b @ normalised(bb)
        new_aa = aa + a_to_b @ ba
        if model.order == "after":
            seen_aa, seen_ab = new_aa, new_ab
        ba, bb = ba + normalised(bb).T @ b_to_a @ normalised(seen_aa), bb + b_to_a @ seen_ab
        aa, ab = new_aa, new_ab
    return {(0, 0): aa, (0, 1): ab, (1, 0): ba, (1, 1): bb}


def streams(model: nn.Module, x: Tensor) -> Streams:
    return Streams().follow(caught(Scorer(Subject(model, x, ALL), 1)))


@pytest.mark.parametrize("sizes", [(4, 5), (4, 4)])
@pytest.mark.parametrize("order", ["together", "after"])
def test_relevance_is_that_of_the_rules_written_out(order: str, sizes: tuple[int, int]) -> None:
    """Also where both streams are of one length, and whether they look at each other at once or in turn."""
    model, x = Two(order, sizes=sizes), draw(2, sum(sizes), 6)
    found = streams(model, x)
    assert found.sizes == list(sizes)
    assert found.sides == [(0, 0), (1, 1), (0, 1), (1, 0)] * 2
    for row in range(2):
        for pair, wanted in explicit(model, x[row : row + 1]).items():
            torch.testing.assert_close(found.relevance[pair][row], wanted)


def test_the_planted_fault_an_order_that_is_not_told_gives_other_relevance(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = Two("together"), draw(1, 9, 6)
    right = explicit(model, x)[0, 1]
    monkeypatch.setattr(Streams, "_before", lambda self, *_: dict(self.relevance))
    assert (streams(model, x).relevance[0, 1][0] - right).abs().max() > 1e-3 * right.abs().max()


class Joined(nn.Module):
    """Tokens of two streams in one sequence, behind attention of each."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            self.parts = nn.ModuleList(Attention() for _ in range(3))
            self.head = nn.Linear(6, 3)
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.split((2, 3), dim=1)
        both = torch.cat([self.parts[0](a, a), self.parts[1](b, b)], 1)
        return self.head(self.parts[2](both, both)[:, 0])


def test_joined_tokens_are_refused() -> None:
    told = r"parts.2: 5 tokens made of stream 0 of 2 tokens and stream 1 of 3 tokens"
    with pytest.raises(CallError, match=told):
        streams(Joined(), draw(1, 5, 6))
