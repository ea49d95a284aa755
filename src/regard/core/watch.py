"""`Watch`: keep numbers, rows or tensors of chosen attention calls while a block runs.

The model's own output is computed by its own kernel and passed on untouched, so watching changes it by exactly 0.
Statistics are computed beside it, a block of query rows at a time. Probes of gradients are fed in backward, by taps.
"""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType

import torch
from torch import Tensor, nn

from regard.core.call import Call, Rows, Tap, Workspace
from regard.core.intercept import listening
from regard.core.plan import Keep, Total, find_grid, parse, read, self_check
from regard.core.record import Reading, Record
from regard.core.scope import Listener, Mechanisms
from regard.core.select import Selection, matcher, no_match
from regard.errors import CallError, context
from regard.layout import Grid, Windows

LIMIT = 4 << 30  # bytes of attention matrices that keep="probs" may hold without being told a larger limit


class Watch:
    """Context manager behind `regard.watch`; entering gives the `Record` that fills as the model runs."""

    def __init__(
        self, model: nn.Module, mechanisms: Mechanisms, select: Selection, keep: Keep, *, sample: int = 1,
        threads: str = "own", limit: int = LIMIT,
    ) -> None:  # fmt: skip
        self.plan = parse(keep, sample)
        self.selection = select
        self.limit = limit
        self._match = matcher(select)
        units = {name: p.card.unit for name, p in self.plan.probes.items()}
        self.record = Record(units=units, in_backward=tuple(self.plan.by_gradient))
        self._workspace = Workspace()
        self._listener = Listener(
            model, mechanisms, self._observe, taps=self._tap if self.plan.by_gradient else lambda _: None,
            threads=threads,
        )  # fmt: skip
        self._tapped: dict[tuple[str, int], dict[str, Tensor]] = {}
        self._later: dict[tuple[str, int], dict[str, Tensor]] = {}  # of reentrant checkpoints
        self._stack, self._entered = ExitStack(), False

    def __enter__(self) -> Record:
        if self._entered:
            raise CallError("this watch has been entered before", hint="a new regard.watch(...) for each block")
        self._entered = True
        self._stack.enter_context(listening(self._listener))
        return self.record

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._workspace = Workspace()
        self.record.not_covered.update(self._listener.uncovered)
        self.record.patch_site = self._listener.patch_site
        if kind is None and not self.record.seen:
            self._listener.warn_of_other_threads("watched")
        unseen = self._listener.ran and self.selection != "*"
        if kind is None and not self.record.readings and (self.record.seen or unseen):
            raise no_match(self.selection, self.record.seen)

    def _observe(self, call: Call, out: Tensor, product: Tensor) -> None:
        if call.checkpoint and call.checkpoint.again:
            return  # it was read when it was made first
        self.record.seen.append(call.site)
        if not self._match(call.site):
            return
        with context(f"while watching {call.site}, call {call.index}"):
            self._check(call)
            grid, windows = self._place(call)
            values = self._tapped.pop((call.site, call.index), {})
            values |= read(call, out, self.plan, windows.inside if windows else grid, self._workspace)
        keeps_k = {"k", "attention"} & set(self.plan.fields.values())
        bias = call.bias.detach() if call.bias is not None and keeps_k else None
        self.record.readings.append(
            Reading(
                site=call.site, index=call.index, mechanism=call.mechanism, batch=call.batch, heads=call.heads,
                queries=call.queries, keys=call.keys, scale=call.scale, causal=call.causal, bias=bias, grid=grid,
                error=self_check(call, product), values=values, gives=call.gives,
                pictures=min(self._listener.batches, default=1), patches=self._listener.patch_grid,
                in_backward=tuple(self.plan.by_gradient), windows=windows,
            )
        )  # fmt: skip

    def _place(self, call: Call) -> tuple[Grid | None, Windows | None]:
        """The grid of the picture that the call's tokens are, or the windows of it."""
        patches, pictures = self._listener.patch_grid, min(self._listener.batches, default=1)
        grid = find_grid(patches, call)
        if grid is not None or call.batch <= pictures:
            return grid, None
        around = self._listener.around(call.site)
        return None, self._listener.mechanisms.windows(around, call.batch, call.queries, call.keys, pictures, patches)

    def _check(self, call: Call) -> None:
        """Refuse what could not be kept rightly, before anything is computed."""
        if (self.plan.fields or self.plan.probes) and torch._C._functorch.is_functorch_wrapped_tensor(call.values):
            raise CallError(
                f"{call.site} runs under torch.func (vmap, grad), whose tensors end with the transform",
                hint="watch the model outside of it, or keep=()",
            )
        if "probs" in self.plan.fields.values():
            more = call.batch * call.heads * call.queries * call.keys * 4
            if self.record.bytes + more > self.limit:
                raise CallError(
                    f"keep='probs' holds {_size(self.record.bytes)} already, and {call.site} would add "
                    f"{_size(more)}: over the limit of {_size(self.limit)}",
                    hint="fewer sites (select), rows (rg.probes.row), a probe, or limit=BYTES",
                )

    def _tap(self, call: Call) -> Tap | None:
        """Where the gradient of a chosen call goes: into totals that become the reading's values in backward."""
        if not self._match(call.site):
            return None
        if call.checkpoint and call.checkpoint.again and (call.site, call.index) not in self._later:
            return Tap(torch.zeros((), device=call.values.device, requires_grad=True), _nothing)  # the first has it
        if not torch.is_grad_enabled() and call.checkpoint:  # reentrant: torch makes the graph in backward
            self._later[call.site, call.index] = self._tapped[call.site, call.index] = {}
            return None
        if not torch.is_grad_enabled():
            raise CallError(
                f"{', '.join(self.plan.by_gradient)} read gradients, and {call.site} runs without them",
                hint="run it outside of torch.no_grad() and inference_mode",
            )
        grid, windows = self._place(call)
        values = self._later.get((call.site, call.index), {})
        self._tapped[call.site, call.index] = values
        facts = call.without_tensors()
        totals: dict[str, Total] = {}

        def reduce(rows: Rows, gradient: Tensor) -> None:
            for name, probe in self.plan.by_gradient.items():
                total = totals.setdefault(name, Total(probe, facts, windows.inside if windows else grid))
                total.add(None, rows=rows, gradient=gradient, carry=self.record.carried.get(name))
                if total.rows_seen == rows.queries:  # the last block of this backward
                    values[name] = values[name] + total.value if name in values else total.value
                    self.record.carried[name] = total.value
                    del totals[name]

        leaf = torch.zeros((), device=call.values.device, requires_grad=True)
        self.record.taps.append((leaf, values))
        return Tap(leaf, reduce)


def _nothing(rows: Rows, gradient: Tensor) -> None:
    """What the tap of a call that is made again hands on."""


def _size(count: int) -> str:
    """Bytes in a unit that leaves figures to read."""
    return f"{count / 2**30:.2f} GiB" if count >= 1 << 29 else f"{count / 2**20:.2f} MiB"
