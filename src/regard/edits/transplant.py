"""Transplant: what a head computed elsewhere, put in its place (activation patching)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor

from regard.core.attend import fused
from regard.core.call import Call, Rule
from regard.core.edit import Edit
from regard.core.record import Reading, Record
from regard.edits._shared import Heads, chosen_heads, told
from regard.errors import EditError
from regard.registry import method
from regard.subjects.rows import call_of

What = Literal["attention", "probs", "q", "k", "v", "out"]
WHAT = get_args(What)


@method(
    "edits",
    paper="circuit-reuse",
    claim="transplanting a run into itself changes nothing; all heads of another run restore its output",
    source="appendix B: path patching; activation patching of heads",
    needs={"out", "attention"},
    differs="none",
    unit="output",
)
def transplant(record: Record, what: What = "out", heads: Heads = None) -> Edit:
    """Replace outputs, operands or attention of heads by those of a watched run, call by call.

    what: `out`, `q`, `k` or `v`, kept under that name, or `attention` (also `probs`; keep either), which is
    multiplied with this run's v. A record is found by address and call; runs of one picture serve any batch.
    Path patching is three of these: freeze all heads at one run's `out`, put the sender's `out` of the other run in,
    watch the receiver's `q`, and transplant that.

    Raises EditError where shapes do not fit, CallError where the record did not keep it, SiteError where it has no
    such call. Source: Merullo, Eickhoff and Pavlick 2024, "Circuit Component Reuse Across Tasks in Transformer
    Language Models", appendix B.

    >>> import regard as rg
    >>> m = rg.model("random:vit_tiny_patch16_224")
    >>> x = rg.image("sample:coffee", like=m)
    >>> with rg.watch(m, keep="out") as other:
    ...     _ = m(x.flip(-1))
    >>> with rg.edit(m, rg.edits.transplant(other, heads=[0]), "blocks.3.attn") as edited:
    ...     _ = m(x)
    >>> edited.sites
    Counter({'blocks.3.attn': 1})
    """

    if what not in WHAT:
        raise EditError(f"no '{what}' to transplant", hint=f"one of {', '.join(WHAT)}")

    def change(call: Call) -> Call:
        if call.given is not None:
            return call
        reading = record[f"{call.site}[{call.index}]"]
        there = chosen_heads(call, heads)
        if what in ("attention", "probs"):
            return call.with_rule(_rule(call, reading, there))
        other = reading[what]
        if what == "out":
            return call.then(lambda out: torch.where(there, _fit(other, out, call, what), out))
        own = call.values if what == "v" else call.operand(what)
        if own.shape[1] != call.heads and heads is not None:
            raise EditError(f"{call.site} shares its {what} between heads", hint="heads=None replaces all")
        some = there if own.shape[1] == call.heads else there.new_ones(())
        new = torch.where(some, _fit(other, own, call, what), own)
        return call.with_operands(**{what: new})

    return Edit(f"transplant({what!r}{told(heads)})", change)


def _fit(other: Tensor, own: Tensor, call: Call, what: str) -> Tensor:
    if other.shape[1:] != own.shape[1:] or other.shape[0] not in (1, own.shape[0]):
        raise EditError(
            f"{what} of the record is {list(other.shape)}, that of {call.site} here is {list(own.shape)}",
            hint="pictures of the same size, one in the record or as many as here",
        )
    return other.to(own).expand_as(own)


def _rule(call: Call, reading: Reading, there: Tensor) -> Rule:
    """The other run's probabilities in the place of this one's; by the fused kernel where q and k were kept."""
    other = call_of(reading)
    if other.shape[1:] != call.shape[1:] or other.batch not in (1, call.batch):
        raise EditError(
            f"attention of the record is {list(other.shape)}, that of {call.site} here is {list(call.shape)}",
            hint="pictures of the same size, one in the record or as many as here",
        )

    def rows(probs: Tensor, start: int, _: Call) -> Tensor:
        return torch.where(there, other.probs(start, start + probs.shape[2]).to(probs), probs)

    def closed(before: Call, product: Callable[[Tensor], Tensor]) -> Tensor | None:
        if other.weights is not None or other.batch != before.batch:
            return None
        v = before.values_per_head
        made = fused(other.with_operands(v=v, k=other._keys_per_head.to(other.operand("q"))))
        out = product(before.values)
        return torch.where(there, made.to(out), out)

    return Rule(rows, closed)
