"""Saliency-guided decoding: a word that rests too little on the words before it is passed over for another."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from regard.core.edit import Edited
from regard.core.record import Record
from regard.core.select import Selection
from regard.core.watch import Watch
from regard.errors import LayoutError
from regard.mechanisms import ALL
from regard.progress import track
from regard.registry import cards
from regard.subjects.forward import frozen
from regard.subjects.token import Token, words_of


@dataclass(frozen=True)
class Step:
    """One word: the one taken, all that were tried with their saliency, and what they had to reach."""

    token: int
    tried: tuple[tuple[int, float], ...]
    threshold: float


@dataclass(frozen=True)
class Told:
    """The text with what was added, and how each word was chosen."""

    words: Int[Tensor, "1 t"]
    steps: tuple[Step, ...]

    @property
    def rejected(self) -> int:
        """Candidates that were passed over."""
        return sum(token != step.token for step in self.steps for token, _ in step.tried)


def saliency_guided(
    model: nn.Module, words: Int[Tensor, "1 t"], *, steps: int = 20, layers: Selection = "*",
    candidates: int = 3, share: float = 0.6, window: int = 5, strength: float = 0.0,
) -> Told:  # fmt: skip
    """Add `steps` words to a text, each the likeliest whose saliency is not below share times that of the last words.

    S(c) = mean over layers and earlier output words j of r_j, r the last query's row mean_h |A dL/dA| divided by its
    length, L = -log p(c). A candidate with S(c) < share * mean of the last `window` accepted S is rejected; where all
    `candidates` are, the one with the largest S is taken. strength: queries that tell output words look
    1 + strength times as much at the `window` tokens up to them. share=0 and strength=0 is greedy decoding. A forward a
    word and a backward a candidate, without a cache.

    Our share, strength: alpha, beta. The candidate's own row, which the released code reads, has no gradient in a
    causal model: this reads the row that tells it. Raises LayoutError for options without
    a sense and for more than one text.
    Source: "Hallucination Begins Where Saliency Drops" (2026), sections 3 and 4.
    """
    if not (steps > 0 and candidates > 0 and window > 0 and share >= 0 and strength >= 0) or len(words) != 1:
        raise LayoutError(
            f"{len(words)} texts, {steps} steps of {candidates} candidates, share {share}, window {window}, strength "
            f"{strength}",
            hint="one text [1, T]; candidates=3, share=0.6, window=5 and strength=0 or more",
        )
    start, accepted, taken = words.shape[1], list[float](), list[Step]()
    keep = {"row": partial(cards("probes")["gradient_row"].function, queries=(-1,))}
    for _ in track(range(steps), "words"):
        with ExitStack() as stack:
            stack.enter_context(frozen(model))
            if strength:
                recent = cards("edits")["bias"].function(_recent(words, start, window, strength))
                stack.enter_context(Edited(model, ALL, recent, "*"))
            record = stack.enter_context(Watch(model, ALL, layers, keep))
            output = model(words)
            logits = words_of(output, getattr(output, "logits", output))
            threshold = share * sum(accepted[-window:]) / max(1, len(accepted[-window:]))
            tried: list[tuple[int, float]] = []
            for token in logits[0, -1].topk(candidates).indices.tolist():
                score = Token(token, measure="logprob").found(logits)(logits)
                tried.append((token, _saliency(record, -score, start)))
                if words.shape[1] == start or tried[-1][1] >= threshold:
                    break
            else:
                tried.append(tried.pop(max(range(len(tried)), key=lambda i: tried[i][1])))
        if words.shape[1] > start:
            accepted.append(tried[-1][1])
        taken.append(Step(tried[-1][0], tuple(tried), threshold))
        words = torch.cat([words, words.new_tensor([[tried[-1][0]]])], 1)
    return Told(words, tuple(taken))


def _saliency(record: Record, loss: Tensor, start: int) -> float:
    """What the last query's row holds at output words, a mean over them and layers; 0 before the first."""
    record.backward(loss, retain_graph=True)
    rows = torch.stack([reading["row"][0, :, 0].abs().mean(0) for reading in record])
    rows = rows / rows.norm(dim=1, keepdim=True).clamp_min(torch.finfo(rows.dtype).tiny)
    return float(rows[:, start:].mean()) if rows.shape[1] > start else 0.0


def _recent(words: Tensor, start: int, window: int, strength: float) -> Float[Tensor, "t t"]:
    """log(1 + strength) where a query that tells an output word meets one of the tokens up to it."""
    place = torch.arange(words.shape[1], device=words.device)
    back = place[:, None] - place
    near = (place[:, None] >= start - 1) & (back >= 0) & (back < window)
    return near * torch.tensor(1 + strength, device=words.device).log()
