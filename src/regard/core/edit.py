"""`Edit`: a change of attention calls, and `Edited`, the block in which it acts.

An edit gives another call for a call (`Call -> Call`). Within a call the order is fixed, whatever the order of
writing: operands and logits, softmax, probabilities, the product with v, the output. Within each of these, edits act
in the order in which they are listed, and blocks in the order in which they were opened. Watches see what comes out.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from torch import Tensor, nn

from regard.core.call import Call, Rule
from regard.core.intercept import listening
from regard.core.scope import Listener, Mechanisms
from regard.core.select import Selection, matcher, no_match
from regard.errors import EditError, context


@dataclass(frozen=True, repr=False)
class Edit:
    """A change of calls, with the name it is told by. `first >> then` is one edit after the other."""

    name: str
    change: Callable[[Call], Call]

    def __repr__(self) -> str:
        return self.name

    def __call__(self, call: Call) -> Call:
        made = self.change(call)
        if not isinstance(made, Call):
            raise EditError(f"{self} gave {type(made).__name__}, not a Call", hint="call.scaled(...), say")
        return made

    def __rshift__(self, other: object) -> Edit:
        then = as_edit(other)
        return Edit(f"{self.name} >> {then.name}", lambda call: then(self(call)))


Edits = Edit | Callable[..., Any] | Sequence[Edit | Callable[..., Any]]

_PARTS = ("call", "logits", "probs", "out")


def as_edit(given: object) -> Edit:
    """An edit as it is; a list as one after the other; a function by the name of its first parameter.

    `call` -> a Call; `logits` or `probs` `[B, H, rows, K]` -> the same shape, for blocks of query rows (a parameter
    named `start`, if there is one, is the number of the first row); `out` `[B, H, Q, D]` -> the same shape.
    """
    if isinstance(given, Edit):
        return given
    if isinstance(given, Sequence) and given and not isinstance(given, str):
        return functools.reduce(lambda one, other: one >> other, (as_edit(part) for part in given))
    named = list(inspect.signature(given).parameters) if callable(given) else []
    part = named[0] if named else None
    if part not in _PARTS or not callable(given):
        raise EditError(
            f"an edit is made by regard.edits, or a function of call, logits, probs or out; got {given!r}",
            hint="rg.edits.temperature(0.5), or lambda probs: probs ** 2",
        )
    function: Callable[..., Any] = given
    needed = [p.name for p in inspect.signature(given).parameters.values() if p.default is p.empty][1:]
    if set(needed) - {"start"}:
        raise EditError(
            f"a function of {part} that also needs {', '.join(needed)}: nothing would give it that",
            hint=f"lambda {part}: ..., or lambda {part}, start: ... for the number of the first row",
        )

    def rows(block: Tensor, start: int) -> Tensor:
        made = function(block, start=start) if "start" in named else function(block)
        if not isinstance(made, Tensor) or made.shape != block.shape:
            what = list(made.shape) if isinstance(made, Tensor) else type(made).__name__
            raise EditError(
                f"an edit of {part} gave {what} for {list(block.shape)}", hint="the same shape, [B, H, rows, K]"
            )
        return made

    changes: dict[str, Callable[[Call], Call]] = {
        "call": function,
        "logits": lambda call: call.with_logits(rows),
        "probs": lambda call: call.with_rule(Rule(lambda probs, start, _: rows(probs, start))),
        "out": lambda call: call.then(function),
    }
    return Edit(f"function of {part}", changes[part])


class Edited:
    """Context manager behind `regard.edit`; entering gives itself: `sites` counts the calls that were edited."""

    def __init__(
        self, model: nn.Module, mechanisms: Mechanisms, edits: Edits | Mapping[str, Edits], select: Selection,
        *, threads: str = "own",
    ) -> None:  # fmt: skip
        if isinstance(edits, Mapping) and select != "*":
            raise EditError(
                f"a mapping says where each edit acts, and select={select!r} says it again",
                hint="either {address: edit}, or one edit and an address",
            )
        if isinstance(edits, Mapping) and not edits:
            raise EditError("an empty mapping edits nothing", hint="{address: edit}, or one edit and an address")
        chosen: Mapping[Any, Any] = edits if isinstance(edits, Mapping) else {_key(select): edits}
        self._chosen = [(selection, matcher(selection), as_edit(edit)) for selection, edit in chosen.items()]
        self.sites: Counter[str] = Counter()
        self._seen: list[str] = []
        self._checkpointed: set[str] = set()
        self._listener = Listener(
            model, mechanisms, self._observe, edit=self._edit, wants=self._wants, threads=threads
        )  # fmt: skip
        self._stack, self._entered = ExitStack(), False

    def __repr__(self) -> str:
        edits = ", ".join(f"{edit} at {selection!r}" for selection, _, edit in self._chosen)
        return f"Edited({edits}; {sum(self.sites.values())} calls so far)"

    def __enter__(self) -> Edited:
        if self._entered:
            raise EditError("this edit has been entered before", hint="a new regard.edit(...) for each block")
        self._entered = True
        self._stack.enter_context(listening(self._listener))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        if kind is not None:
            return
        if not self._seen:
            self._listener.warn_of_other_threads("edited")
        for selection, match, _ in self._chosen:
            if (self._seen or self._listener.ran) and not any(match(site) for site in self._seen):
                raise no_match(selection, self._seen)
        if self._checkpointed:
            warnings.warn(
                f"checkpointed calls ({', '.join(sorted(self._checkpointed))}) were edited, and backward() did not run "
                "inside the block: torch computes them again in backward, without the edit, and the gradients will be "
                "wrong. Call backward() inside `with regard.edit(...)`",
                stacklevel=2,
            )

    def _wants(self, site: str) -> bool:
        return any(match(site) for _, match, _ in self._chosen)

    def _observe(self, call: Call, *_: Tensor) -> None:
        self._seen.append(call.site)

    def _edit(self, call: Call) -> Call:
        self._note_checkpoint(call)
        for _, match, edit in self._chosen:
            if match(call.site):
                with context(f"while editing {call.site}, call {call.index}, by {edit}"):
                    call = edit(call)
        if call.given is None and not (call.checkpoint and call.checkpoint.again):
            self.sites[call.site] += 1
        return call

    def _note_checkpoint(self, call: Call) -> None:
        """A checkpointed call has to be seen twice: in the forward, and when backward computes it again."""
        if call.checkpoint is not None:
            (self._checkpointed.discard if call.checkpoint.again else self._checkpointed.add)(call.site)


def _key(select: Selection) -> Any:
    return select if isinstance(select, str) or callable(select) else tuple(select)
