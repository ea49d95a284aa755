"""`Watch`: keep numbers, rows or tensors of chosen attention calls while a block runs.

The model's own output is computed by its own kernel and passed on untouched, so watching changes it
by exactly 0. Statistics are computed beside it, a block of query rows at a time.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from regard.core.call import Call, Rows, Workspace
from regard.core.intercept import Interceptor, Mechanisms
from regard.core.record import Reading, Record
from regard.core.select import Selection, matcher, no_match
from regard.errors import CallError, MethodError, context
from regard.layout import Grid
from regard.registry import FIELDS, Card, find

MAX_PREFIX = 16  # more tokens than that beside the patches are no prefix but another layout

Keep = str | Callable[..., Any] | Sequence[str | Callable[..., Any]] | Mapping[str, str | Callable[..., Any]]


@dataclass(frozen=True)
class Probe:
    """A probe made ready: its card, the function with its options bound, and the rows it looks at, if only some."""

    card: Card
    function: Callable[..., Tensor]
    queries: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Plan:
    """What a watch keeps: raw fields and probes, each under the name it is read by."""

    fields: dict[str, str]
    probes: dict[str, Probe]

    @property
    def wants_received(self) -> bool:
        return any("received" in p.card.subjects for p in self.probes.values())

    @property
    def queries(self) -> list[int] | None:
        """The only rows that anything kept looks at; None where something looks at all of them."""
        asked = [p.queries for p in self.by_rows.values()]
        if self.wants_received or any(not q for q in asked):
            return None
        return sorted({q for some in asked for q in some or ()})

    @property
    def by_rows(self) -> dict[str, Probe]:
        return {name: p for name, p in self.probes.items() if "rows" in p.card.subjects}


def parse(keep: Keep) -> Plan:
    """Turn what the user asked for into a plan; a name in a mapping is the name it is read by."""
    if isinstance(keep, Mapping):
        asked = dict(keep)
    else:
        items = [keep] if isinstance(keep, str) or callable(keep) else list(keep)
        asked = {_name(item): item for item in items}
    fields: dict[str, str] = {}
    probes: dict[str, Probe] = {}
    for name, item in asked.items():
        if isinstance(item, str) and item in FIELDS:
            fields[name] = item
        else:
            try:
                card, function, settings = find("probes", item)
            except MethodError as error:
                error.hint = f"a field ({', '.join(FIELDS)}) or a probe: {error.hint}"
                raise
            probes[name] = Probe(card, function, settings.get("queries"))
    return Plan(fields, probes)


def _name(item: str | Callable[..., Any]) -> str:
    bare: Any = item
    while isinstance(bare, functools.partial):
        bare = bare.func
    return bare if isinstance(bare, str) else str(getattr(bare, "__name__", bare))


class Watch:
    """Context manager behind `regard.watch`; entering gives the `Record` that fills as the model runs."""

    def __init__(self, model: nn.Module, mechanisms: Mechanisms, select: Selection, keep: Keep) -> None:
        self.plan = parse(keep)
        self.selection = select
        self._match = matcher(select)
        self.record = Record(units={name: p.card.unit for name, p in self.plan.probes.items()})
        self._interceptor = Interceptor(model, mechanisms, self._observe)
        self._workspace = Workspace()
        self._stack = ExitStack()

    def __enter__(self) -> Record:
        if "torch._dynamo" in sys.modules:  # compiled code is run eagerly while it is watched
            self._stack.enter_context(torch.compiler.set_stance("force_eager"))
        self._stack.enter_context(self._interceptor)
        return self.record

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        self._workspace = Workspace()
        self.record.not_covered.update(self._interceptor.uncovered)
        self.record.patch_site = self._interceptor.patch_site
        if kind is None and self.record.seen and not self.record.readings:
            raise no_match(self.selection, self.record.seen)

    def _observe(self, call: Call, out: Tensor) -> None:
        self.record.seen.append(call.site)
        if not self._match(call.site):
            return
        grid = find_grid(self._interceptor.patch_grid, call)
        with context(f"while watching {call.site}, call {call.index}"):
            values = read(call, out, self.plan, grid, self._workspace)
        keeps_k = {"k", "attention"} & set(self.plan.fields.values())
        bias = call.bias.detach() if call.bias is not None and keeps_k else None
        self.record.readings.append(
            Reading(
                site=call.site, index=call.index, mechanism=call.mechanism, batch=call.batch, heads=call.heads,
                queries=call.queries, keys=call.keys, scale=call.scale, causal=call.causal, bias=bias, grid=grid,
                error=self_check(call, out), values=values, gives=call.gives,
            )
        )  # fmt: skip


def find_grid(patches: tuple[int, int] | None, call: Call) -> Grid | None:
    """The grid behind a self-attention call: what the patch embedding made, plus a short prefix, or None."""
    if patches is None or call.queries != call.keys:
        return None
    prefix = call.keys - patches[0] * patches[1]
    return Grid(*patches, prefix=prefix) if 0 <= prefix <= MAX_PREFIX else None


def self_check(call: Call, out: Tensor) -> Tensor:
    """Largest difference between the first query row computed again and the kernel's, over the output's size."""
    groups = call.heads // call.v.shape[1]
    v = call.v.repeat_interleave(groups, dim=1) if groups > 1 else call.v
    again = call.probs(0, 1) @ v.to(torch.promote_types(v.dtype, torch.float32))
    size = out[:, :, :1].abs().amax().clamp_min(torch.finfo(torch.float32).tiny)
    return (again - out[:, :, :1]).abs().amax() / size


def read(call: Call, out: Tensor, plan: Plan, grid: Grid | None, workspace: Workspace) -> dict[str, Tensor]:
    """Execute a plan on one call: one pass over the query rows feeds every probe that reads rows."""
    values: dict[str, Tensor] = {}
    for name, which in plan.fields.items():
        values |= _attention(call) if which == "attention" else {name: _field(call, out, which)}
    for name, probe in plan.probes.items():
        if "grid" in probe.card.subjects and grid is None:
            raise CallError(
                f"probe '{name}' needs to know how the {call.keys} tokens lie on the picture, and that was not found",
                hint="a probe without a grid (regard list probes), or a model whose patch embedding is a convolution",
            )
    parts: dict[str, list[Tensor]] = {name: [] for name in plan.by_rows}
    received: list[Tensor] = []
    if plan.by_rows or plan.wants_received:
        for rows in call.blocks(workspace) if plan.queries is None else call.single_rows(plan.queries):
            for name, probe in plan.by_rows.items():
                part = _run(probe, rows=rows, call=call, grid=grid, total=parts[name][0] if parts[name] else None)
                _add(parts[name], probe, part.clone() if workspace.owns(part) else part)
            if plan.wants_received:
                received = [sum(received, rows.probs.sum(2))]
    for name, probe in plan.probes.items():
        if name in parts:
            values[name] = torch.cat(parts[name], dim=2) if probe.card.gives == "PerQuery" else parts[name][0]
        elif "received" in probe.card.subjects:
            values[name] = _run(probe, received=received[0] / call.queries, call=call, grid=grid)
        else:
            values[name] = _run(probe, call=call, grid=grid)
    return values


def _attention(call: Call) -> dict[str, Tensor]:
    """The smaller of what any row can be had from again: q and k, or the weights where only they are certain."""
    return {n: _field(call, call.v, n) for n in (("q", "k") if call.weights is None else ("probs",))}


def _field(call: Call, out: Tensor, which: str) -> Tensor:
    if which == "probs":
        return call.probs().clone() if call.weights is not None else call.probs()
    value: Tensor = {"out": out, "v": call.v}[which] if which in ("out", "v") else call.operand(which)
    return value.detach().clone()


def _add(parts: list[Tensor], probe: Probe, part: Tensor) -> None:
    """Rows of a per-query number are strung together; anything else from a block of rows is summed."""
    if probe.card.gives == "PerQuery" or not parts:
        parts.append(part)
    elif "total" not in probe.card.subjects:  # else it has been added by the probe itself
        parts[0] += part


def _run(probe: Probe, **subjects: Rows | Call | Grid | Tensor | None) -> Tensor:
    return probe.function(*(subjects[name] for name in probe.card.subjects))
