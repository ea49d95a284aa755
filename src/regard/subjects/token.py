"""`Token`: a word's score in what a language model returns, as the target of an explanation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import LayoutError, MethodError


@dataclass(frozen=True)
class Token:
    """The score of one token at one position of an output `[B, T, V]`; row t of a causal model tells token t + 1.

    id: of the token; None for the one that the model itself puts first there, for each input its own. at: the row, -1
    the last, which tells what comes next. measure: "logit", or "logprob", which falls also where other tokens rise.

    >>> import regard as rg
    >>> rg.Token(17).label
    'token 17 next'
    >>> rg.Token(at=4, measure="logprob").label
    'logprob of the first choice behind position 4'
    """

    id: Any = None  # a whole number or None; what else comes is refused below, in words
    at: Any = -1
    measure: str = "logit"

    def __post_init__(self) -> None:
        if self.measure not in ("logit", "logprob"):
            raise MethodError.unknown("measure", self.measure, ("logit", "logprob"), see="'logit' or 'logprob'")
        if self.id is not None and (not _is_whole(self.id) or self.id < 0):
            raise MethodError(
                f"a token's id is no {self.id!r}", hint="a whole number, 0 or more: tokenizer(text).input_ids"
            )
        if not _is_whole(self.at):
            raise MethodError(f"a position is no {self.at!r}", hint="at=-1, the last, or another whole number")

    @property
    def label(self) -> str:
        """What it is called."""
        what = "the first choice" if self.id is None else f"token {self.id}"
        where = "next" if self.at == -1 else f"behind position {self.at}"
        return f"{'logprob of ' if self.measure == 'logprob' else ''}{what} {where}"

    def found(self, logits: Float[Tensor, "b t v"]) -> Callable[[Float[Tensor, "n t v"]], Float[Tensor, " n"]]:
        """The score as a function of logits; which token it is, is settled here, and stays for changed inputs."""
        _, length, words = logits.shape
        if not -length <= self.at < length:
            raise MethodError(f"no position {self.at}: the output has {length}", hint=f"{-length} .. {length - 1}")
        if self.id is not None and not 0 <= self.id < words:
            raise MethodError(f"no token {self.id}: the output tells of {words}", hint=f"0 .. {words - 1}")
        first = logits[:, self.at].argmax(1)
        chosen = first if self.id is None else torch.full_like(first, self.id)

        def score(logits: Tensor) -> Tensor:
            row = logits[:, self.at]
            row = row.log_softmax(1) if self.measure == "logprob" else row
            return row.gather(1, chosen.to(row.device).repeat(len(row) // len(chosen))[:, None])[:, 0]

        return score


def _is_whole(number: object) -> bool:
    """Also NumPy's; True is no number."""
    return isinstance(number, Integral) and not isinstance(number, bool)


def words_of(output: Any, scores: Any) -> Float[Tensor, "b t v"]:
    """The scores of every token at every position, out of what was found in a model's output."""
    if not isinstance(scores, Tensor) or scores.ndim != 3:
        came = list(scores.shape) if isinstance(scores, Tensor) else type(output).__name__
        raise LayoutError(
            f"the model returns {came}, not scores of tokens [B, T, V]", hint="a language model's logits, or a class"
        )
    return scores
