"""`survey`: every site of a model, without computing anything where that is possible; `audit`: nothing went unseen.

A survey runs the model's own code on fake tensors, which have shapes and no numbers. Where a model looks at
numbers to decide what to do (detectors often do), one real forward is run instead, and the survey says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from regard.core.record import Record
from regard.core.scope import Mechanisms, addresses
from regard.core.watch import Watch
from regard.errors import LayoutError
from regard.mechanisms.dispatch import Dispatched
from regard.mechanisms.kind import kind_of, told_by_class

Inputs = Tensor | Sequence[Any] | Mapping[str, Any] | Callable[[], Any]


@dataclass(frozen=True)
class Site:
    """The calls of one site in one forward: facts of the first, and how many there are."""

    address: str
    kind: str
    path: str
    heads: int | None
    queries: int | None
    keys: int | None
    grid: str | None
    calls: int
    gives: str
    bytes: int = 0  # of all its maps in one forward, in float32


def forward(model: nn.Module, x: Any) -> Any:
    """Run a model on a tensor, on positional (list, tuple) or keyword (mapping) inputs, or call what runs it."""
    if isinstance(x, Tensor):
        return model(x)
    if isinstance(x, Mapping):
        return model(**x)
    if isinstance(x, list | tuple):
        return model(*x)
    if callable(x):
        return x()
    raise LayoutError(
        f"a model runs on a tensor, a list, a mapping of names to tensors or a function, got {type(x).__name__}",
        hint="regard.sites(model, {'pixel_values': x}), or lambda: model.generate(...)",
    )


def survey(model: nn.Module, x: Any, mechanisms: Mechanisms) -> tuple[list[Site], bool]:
    """All sites in the order of their first call, then what is not covered; and whether a real forward was needed."""
    try:
        record, real = _watch_fake(model, x, mechanisms), False
    except Exception:  # whatever a model does with numbers that are not there
        record, real = _watch(model, x, mechanisms), True
    return _sites(model, record), real


def _watch_fake(model: nn.Module, x: Any, mechanisms: Mechanisms) -> Record:
    if callable(x) and not isinstance(x, Tensor):
        raise LayoutError("a function's inputs cannot be made fake", hint="a real forward")
    with FakeTensorMode(allow_non_fake_inputs=True) as fake:
        given = torch.utils._pytree.tree_map_only(Tensor, fake.from_tensor, x)
        return _watch(model, given, mechanisms)


def _watch(model: nn.Module, x: Any, mechanisms: Mechanisms) -> Record:
    with torch.no_grad(), Watch(model, mechanisms, "*", ()) as record:
        forward(model, x)
    return record


def _sites(model: nn.Module, record: Record) -> list[Site]:
    names = addresses(model)
    modules = {names[id(module)]: module for module in model.modules()}
    counts = Counter(reading.site for reading in record)
    found: dict[str, Site] = {}
    for r in record:
        if r.site not in found:
            patches = r.patches[0] * r.patches[1] if r.patches else None
            kind = kind_of(modules[r.site], r.site, (r.batch, r.heads, r.queries, r.keys), r.pictures, patches)
            grid = f"{r.windows.inside} in {r.windows.grid}" if r.windows else str(r.grid) if r.grid else None
            found[r.site] = Site(
                r.site,
                kind,
                r.mechanism,
                r.heads,
                r.queries,
                r.keys,
                grid,
                counts[r.site],
                " ".join(r.gives),
                bytes=4 * sum(o.batch * o.heads * o.queries * o.keys for o in record if o.site == r.site),
            )
    told = [
        Site(what, _told(what, modules), "not covered", None, None, None, None, count, "nothing yet")
        for what, count in record.not_covered.items()
    ]
    return [*found.values(), *told]


def _told(what: str, modules: Mapping[str, nn.Module]) -> str:
    """The kind of what is not covered: by its class, or only the softmax that was seen."""
    module = modules.get(what.partition(": ")[0])
    return (told_by_class(module) if module is not None else None) or "softmax"


@dataclass(frozen=True)
class Audit:
    """Attention as torch's dispatcher counted it, beside what was seen and told of."""

    dispatched: dict[str, int]
    seen: int
    told: dict[str, int]

    @property
    def gap(self) -> int:
        """Dispatched ops of attention that are neither a call that was seen nor a softmax that was told of."""
        return sum(self.dispatched.values()) - self.seen - sum(self.told.values())


def audit(model: nn.Module, x: Any, mechanisms: Mechanisms) -> Audit:
    """One watched forward, and one under a count at the dispatcher, which nothing gets past."""
    record = _watch(model, x, mechanisms)
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        counted = stack.enter_context(Dispatched())
        forward(model, x)
    return Audit(dict(counted.counts), len(record), dict(record.not_covered))
