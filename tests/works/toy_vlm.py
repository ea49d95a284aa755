"""A planted model of pictures and words: which heads read what, and in which layers, is known by construction.

36 image tokens, then text: a first word, three facts ("word w is of colour c"), a question and the place of the
answer. The picture holds three objects of 2 x 2 tokens, each of another shape. A question asks for the colour of a
shape, which only the picture tells, or of a word, which only a fact tells. Heads that were not planted are random.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .toys import Head, seeded

SIDE, IMAGE, TOKENS = 6, 36, 42
FIRST, QUESTION, ANSWER = 36, 40, 41
FACTS = (37, 38, 39)
LAYERS, HEADS, WIDTH, DIM = 8, 4, 48, 12
SINK, LOUD = 36, 60.0  # the hidden dimension in which sinks are massive, and how much

SHAPE, WORD, COLOUR, ASKS_SHAPE, ASKS_WORD, SEEN, READ, SAID = (slice(4 * i, 4 * i + 4) for i in range(8))
IS_FIRST, IS_QUESTION, IS_ANSWER = (slice(i, i + 1) for i in (32, 33, 34))


@dataclass(frozen=True)
class Asked:
    """Tokens `[B, 42, 48]`, the right colours, and which image tokens belong to the object asked for."""

    tokens: Tensor
    colour: Tensor
    target: Tensor


def ask(what: str, count: int, *, seed: int = 0, sinks: tuple[int, ...] = (), size: int = 2) -> Asked:
    """Draw pictures, facts and questions about "pictures" or "facts". sinks: background tokens that are massive.

    size: of the objects, 1 or 2 tokens wide and high.
    """
    draws = torch.Generator().manual_seed(seed)
    x = 0.1 * torch.randn(count, TOKENS, WIDTH, generator=draws)
    x[:, :, SINK] = 0.0
    place = torch.rand(count, 9, generator=draws)
    place[:, [token // SIDE // 2 * 3 + token % SIDE // 2 for token in sinks]] += 1.0  # no object where a sink is
    cells = place.argsort(1)[:, :3]
    shapes, words = (torch.rand(count, 4, generator=draws).argsort(1)[:, :3] for _ in range(2))
    seen, told = (torch.randint(4, (count, 3), generator=draws) for _ in range(2))
    one = torch.eye(4)
    picture, target = x[:, :IMAGE].unflatten(1, (SIDE, SIDE)), torch.zeros(count, SIDE, SIDE, dtype=torch.bool)
    for row in range(count):
        for i in range(3):
            top, left = 2 * int(cells[row, i] // 3), 2 * int(cells[row, i] % 3)
            block = picture[row, top : top + size, left : left + size]
            block[..., SHAPE] += one[shapes[row, i]]
            block[..., COLOUR] += one[seen[row, i]]
            target[row, top : top + size, left : left + size] = i == 0
            x[row, FACTS[i], WORD] += one[words[row, i]]
            x[row, FACTS[i], COLOUR] += one[told[row, i]]
    x[:, QUESTION, ASKS_SHAPE if what == "pictures" else ASKS_WORD] += one[
        (shapes if what == "pictures" else words)[:, 0]
    ]
    for token, kind in ((FIRST, IS_FIRST), (QUESTION, IS_QUESTION), (ANSWER, IS_ANSWER)):
        x[:, token, kind] += 1.0
    x[:, [FIRST, *sinks], SINK] = LOUD
    return Asked(x, (seen if what == "pictures" else told)[:, 0], target.flatten(1))


class Attention(nn.Module):
    """Causal fused attention whose heads are random but for those that are planted; all rest on sinks."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH, bias=False)
        with torch.no_grad():
            for part, size in zip(self.qkv.weight.chunk(3), (0.4, 0.4, 0.05), strict=True):
                part.normal_(0, size)
            self.qkv.bias.zero_()
            self.qkv.weight[:, SINK] = 0.0
            self.proj.weight.normal_(0, 0.16)[SINK] = 0.0
            for head in range(HEADS):
                self._rest(head, 1.0)

    def _rest(self, head: int, logit: float) -> None:
        """The head's last query and key: every query gives sinks this logit."""
        at = (head + 1) * DIM - 1
        self.qkv.weight[[at, WIDTH + at]] = 0.0
        self.qkv.bias[at] = logit * DIM**0.5
        self.qkv.weight[WIDTH + at, SINK] = 1 / LOUD

    @torch.no_grad()
    def plant(self, head: int, look: slice, at: slice, read: slice | tuple[slice, ...], write: slice) -> None:
        """Queries with `look` attend to keys with `at`, and add what these hold in `read` to `write`."""
        own = slice(head * DIM, (head + 1) * DIM)
        for part in self.qkv.weight.chunk(3):
            part[own] = 0.0
        self.proj.weight[:, own] = 0.0
        self._rest(head, 5.0)
        q, k, v = self.qkv.weight.chunk(3)
        for i in range(look.stop - look.start):
            q[head * DIM + i, look.start + i] = 10.0 * DIM**0.5
            k[head * DIM + i, at.start + i] = 1.0
        for one in read if isinstance(read, tuple) else (read,):
            for i in range(4):
                v[head * DIM + i, one.start + i] = 1.0
        for i in range(4):
            self.proj.weight[write.start + i, head * DIM + i] = 1.0

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, HEADS, DIM)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))


class Block(nn.Module):
    """Attention with a residual, and no more."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = Attention()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.attn(x)


class ToyVLM(nn.Module):
    """Visual heads carry the picture's colour to the question, word heads that of a fact; a relay gives the answer.

    visual, words: heads (layer, head), in one or more layers; relay: the head that carries it on to the answer.
    """

    def __init__(self, visual: tuple[Head, ...], words: tuple[Head, ...], relay: Head, *, seed: int = 0) -> None:
        super().__init__()
        with seeded(seed):
            self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        for layer, head in visual:
            self.blocks[layer].attn.plant(head, ASKS_SHAPE, SHAPE, COLOUR, SEEN)
        for layer, head in words:
            self.blocks[layer].attn.plant(head, ASKS_WORD, WORD, COLOUR, READ)
        self.blocks[relay[0]].attn.plant(relay[1], IS_ANSWER, IS_QUESTION, (SEEN, READ), SAID)
        self.eval()

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits of the four colours."""
        for block in self.blocks:
            tokens = block(tokens)
        return tokens[:, -1, SAID]


def accuracy(model: nn.Module, asked: Asked) -> float:
    with torch.no_grad():
        return float((model(asked.tokens).argmax(-1) == asked.colour).float().mean())


def margin(model: nn.Module, asked: Asked) -> float:
    """Mean logit of the right colour above the best of the others."""
    with torch.no_grad():
        logits = model(asked.tokens)
    right = logits.gather(1, asked.colour[:, None])[:, 0]
    return float((right - logits.scatter(1, asked.colour[:, None], float("-inf")).amax(1)).mean())
