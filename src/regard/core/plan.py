"""`Plan`: what a watch keeps of each call, and the cheapest exact way to compute it beside the model's own output.

A probe names what it reads. Chosen rows are computed alone; all that needs every row shares one pass over blocks of
rows; what needs only operands or the output costs no attention at all. `sample` looks at some rows for all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from regard.core.call import Call, Rows, Workspace
from regard.errors import CallError, MethodError
from regard.layout import Grid
from regard.registry import FIELDS, Card, find

CHUNK = (16, 64)  # neighbouring rows that a sample takes at a time: few enough to spread, many enough to be fast
MAX_PREFIX = 16  # more tokens than that beside the patches are no prefix but another layout

Kept = str | Card | Callable[..., Any]
Keep = Kept | Sequence[Kept] | Mapping[str, Kept]


@dataclass(frozen=True)
class Probe:
    """A probe made ready: its card, the function with its options bound, and the rows it looks at, if only some."""

    card: Card
    function: Callable[..., Tensor]
    queries: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Plan:
    """What a watch keeps: raw fields and probes, each under the name it is read by.

    sample: look at about one query row in so many, some neighbours at a time; 1 is all of them, exactly.
    """

    fields: dict[str, str]
    probes: dict[str, Probe]
    sample: int = 1

    def reading(self, subject: str) -> dict[str, Probe]:
        """The probes that ask for a subject."""
        return {name: p for name, p in self.probes.items() if subject in p.card.subjects}

    @property
    def by_rows(self) -> dict[str, Probe]:
        """Probes of rows whose gradient is not asked for: those are read in the forward."""
        return {name: p for name, p in self.reading("rows").items() if "gradient" not in p.card.subjects}

    @property
    def by_gradient(self) -> dict[str, Probe]:
        return self.reading("gradient")

    @property
    def queries(self) -> list[int] | None:
        """The only rows that anything kept looks at; None where something looks at all of them."""
        asked = [p.queries for p in self.by_rows.values()]
        if self.reading("received") or any(not q for q in asked):
            return None
        return sorted({q for some in asked for q in some or ()})

    def rows_of(self, call: Call, workspace: Workspace) -> Iterator[Rows]:
        """The rows that have to be computed, and no others."""
        if self.queries is not None:
            return call.single_rows(self.queries)
        if self.sample == 1:
            return call.blocks(workspace)
        size = chunk(call.queries, self.sample)
        starts = range(0, call.queries, size * self.sample)
        return (call.rows(start, min(start + size, call.queries), workspace) for start in starts)


def chunk(queries: int, sample: int) -> int:
    """How many neighbouring rows a sample takes at a time: about eight chunks, if they are not too small or large."""
    return max(CHUNK[0], min(CHUNK[1], queries // (8 * sample)))


def parse(keep: Keep, sample: int = 1) -> Plan:
    """Turn what the user asked for into a plan; a name in a mapping is the name it is read by."""
    if isinstance(keep, Mapping):
        asked = dict(keep)
    else:
        items = [keep] if isinstance(keep, str | Card) or callable(keep) else list(keep)
        asked = {_name(item): item for item in items}
        if len(asked) < len(items):
            twice = next(name for name in asked if sum(_name(item) == name for item in items) > 1)
            raise CallError(f"'{twice}' is asked for twice", hint=f"give each a name: keep={{'a': {twice}, 'b': ...}}")
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
    plan = Plan(fields, probes, sample)
    if sample < 1:
        raise CallError(f"a sample of one row in {sample}", hint="sample=8 looks at one query row in eight; 1 is all")
    for name, probe in plan.by_rows.items() if sample > 1 else ():
        if probe.card.gives != "PerQuery":
            raise CallError(f"'{name}' is made of all rows together and cannot be sampled", hint="sample=1")
    return plan


def _name(item: Kept) -> str:
    if isinstance(item, Card):
        return item.name
    bare: Any = item
    while isinstance(bare, functools.partial):
        bare = bare.func
    return bare.replace("-", "_") if isinstance(bare, str) else str(getattr(bare, "__name__", bare))


def find_grid(patches: tuple[int, int] | None, call: Call) -> Grid | None:
    """The grid behind a self-attention call: what the patch embedding made, plus a short prefix, or None."""
    if patches is None or call.queries != call.keys:
        return None
    prefix = call.keys - patches[0] * patches[1]
    return Grid(*patches, prefix=prefix) if 0 <= prefix <= MAX_PREFIX else None


def self_check(call: Call, product: Tensor) -> Tensor:
    """Largest difference between the first query row computed again and the kernel's, over the product's size."""
    first = product[:, :, :1]
    wide = torch.promote_types(first.dtype, torch.float32)
    again = call.probs(0, 1) @ call.values_per_head.to(wide)
    return (again - first).abs().amax() / first.abs().amax().clamp_min(torch.finfo(torch.float32).tiny)


def read(call: Call, out: Tensor, plan: Plan, grid: Grid | None, workspace: Workspace) -> dict[str, Tensor]:
    """Execute a plan on one call: one pass over the query rows feeds every probe that reads rows."""
    values: dict[str, Tensor] = {}
    for name, which in plan.fields.items():
        values |= _attention(call) if which == "attention" else {name: _field(call, out, which)}
    for name in plan.reading("grid") if grid is None else ():
        raise CallError(
            f"probe '{name}' needs to know how the {call.keys} tokens lie on the picture, and that was not found",
            hint="a probe without a grid (regard list probes), or a model whose patch embedding is a convolution",
        )
    totals = {name: Total(probe, call, grid) for name, probe in plan.by_rows.items()}
    of_rows, received, seen = plan.reading("received"), call.values.new_zeros(()), 0
    for rows in plan.rows_of(call, workspace) if totals or of_rows else ():
        for total in totals.values():
            total.add(workspace, rows=rows)
        if of_rows:
            received, seen = received + rows.probs.sum(2), seen + rows.probs.shape[2]
    for name, probe in plan.probes.items():
        if name in totals:
            values[name] = totals[name].value
        elif name not in plan.by_gradient:
            given = received / seen if of_rows else None
            values[name] = run(probe, received=given, call=call, grid=grid, out=out)
    return values


class Total:
    """What a probe's blocks of rows come to: a sum, or numbers of queries side by side (NaN where none was seen)."""

    def __init__(self, probe: Probe, call: Call, grid: Grid | None) -> None:
        self.probe, self.call, self.grid = probe, call, grid
        self.rows_seen = 0
        self.parts: list[Tensor] = []

    def add(self, workspace: Workspace | None, **subjects: Any) -> None:
        """Run the probe on one more block. A probe that takes `total` adds to it by itself."""
        rows: Rows = subjects["rows"]
        before = self.parts[0] if self.parts and self.probe.card.gives != "PerQuery" else None
        part = run(self.probe, call=self.call, grid=self.grid, total=before, **subjects)
        self.rows_seen += rows.probs.shape[2]
        if self.probe.card.gives == "PerQuery" and part.shape[2] != rows.queries:
            if not self.parts:
                self.parts.append(part.new_full((*part.shape[:2], rows.queries), torch.nan))
            self.parts[0][:, :, rows.start : rows.stop] = part
        elif before is None:
            self.parts.append(part.clone() if workspace is None or workspace.owns(part) else part)
        elif "total" not in self.probe.card.subjects:
            self.parts[0] = before + part

    @property
    def value(self) -> Tensor:
        return self.parts[0]


def _attention(call: Call) -> dict[str, Tensor]:
    """The smaller of what any row can be had from again: q and k, or the weights where only they are certain."""
    by_operands = call.weights is None and not call.rules and not call.on_logits
    return {n: _field(call, call.values, n) for n in (("q", "k") if by_operands else ("probs",))}


def _field(call: Call, out: Tensor, which: str) -> Tensor:
    if which == "probs":
        return call.probs().clone() if call.weights is not None else call.probs()
    value: Tensor = {"out": out, "v": call.values}[which] if which in ("out", "v") else call.operand(which)
    return value.detach().clone()


def run(probe: Probe, **subjects: Rows | Call | Grid | Tensor | None) -> Tensor:
    """Hand a probe the subjects that it asks for."""
    return probe.function(*(subjects[name] for name in probe.card.subjects))
