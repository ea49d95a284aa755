"""`Record`: what a watched forward left behind, a `Reading` for each call."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from regard.core.select import matcher, no_match
from regard.errors import CallError
from regard.layout import Grid, Windows
from regard.results import Table


@dataclass(frozen=True, repr=False)
class Reading:
    """What was kept of one call: facts about it, and named tensors.

    bias is the call's own, where k is kept too (logits cannot be had without it). error is the self-check
    of every reading: the first query row of each head (from q and k, or as the model made it) times v, against
    what the model's own kernel gave, as a share of the output's largest value. pictures: how many the model was
    given; patches: (h, w) of the last patch embedding that ran. in_backward: names that `Record.backward` fills.
    windows: where a call's batch counts windows of the picture, how they lie; grid is None then, probes see a window's.
    """

    site: str
    index: int
    mechanism: str
    batch: int
    heads: int
    queries: int
    keys: int
    scale: float
    causal: bool
    bias: Tensor | None
    grid: Grid | None
    error: Tensor
    values: dict[str, Tensor]
    gives: tuple[str, ...] = ()
    pictures: int = 1
    patches: tuple[int, int] | None = None
    in_backward: tuple[str, ...] = ()
    windows: Windows | None = None

    def __repr__(self) -> str:
        kept = " ".join(self.values) or "nothing kept"
        grid = f" on {self.grid}" if self.grid else ""
        return f"Reading({self.address}: {self.heads} heads, {self.queries} x {self.keys}{grid}; {kept})"

    @property
    def address(self) -> str:
        """`site`, or `site[i]` for a site's further calls."""
        return self.site if self.index == 0 else f"{self.site}[{self.index}]"

    def on_map(self, name: str) -> Tensor:
        """A kept number of each query (or key), `[B, H, N]`, in its place on the picture: `[B, H, h, w]`.

        Windows are put together again, and rolled back where the model had rolled its map. Raises CallError where
        it is not known how the tokens lie.
        """
        value = self[name]
        if self.windows is not None:
            return self.windows.to_map(value)
        if self.grid is None:
            raise CallError(
                f"it is not known how the {self.queries} tokens of {self.address} lie on the picture",
                hint="regard.sites(model, x) names the sites that have a grid",
            )
        return self.grid.to_map(value)

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.values:
            if name in self.in_backward:
                raise CallError(
                    f"'{name}' at {self.address} is filled in backward, which has not come by here",
                    hint="record.backward(score), inside of the watch's block, with a score that depends on this call",
                )
            kept = ", ".join(self.values) or "nothing"
            raise CallError(
                f"'{name}' was not kept at {self.address}; kept: {kept}", hint=f"watch(model, keep=['{name}'])"
            )
        return self.values[name]


@dataclass(repr=False)
class Record:
    """All readings of a watch, in the order of the calls; empty until the model has run."""

    readings: list[Reading] = field(default_factory=list)
    units: dict[str, str] = field(default_factory=dict)
    not_covered: Counter[str] = field(default_factory=Counter)
    patch_site: str | None = None
    seen: list[str] = field(default_factory=list)
    taps: list[tuple[Tensor, dict[str, Tensor]]] = field(default_factory=list)
    carried: dict[str, Tensor] = field(default_factory=dict)
    in_backward: tuple[str, ...] = ()

    def __repr__(self) -> str:
        other = f", {sum(self.not_covered.values())} not covered" if self.not_covered else ""
        return f"Record({len(self.readings)} calls, {self.bytes / 2**20:.1f} MiB{other})"

    def __iter__(self) -> Iterator[Reading]:
        return iter(self.readings)

    def __len__(self) -> int:
        return len(self.readings)

    def __contains__(self, address: object) -> bool:
        return any(address in (r.address, f"{r.site}[{r.index}]") for r in self.readings)

    def __getitem__(self, address: str | int) -> Reading:
        """The reading of a call, by address or by its place in the record."""
        if isinstance(address, int):
            return self.readings[address]
        for reading in self.readings:
            if address in (reading.address, f"{reading.site}[{reading.index}]"):
                return reading
        missing = no_match(address, (r.address for r in self.readings), has="the record has")
        if set("*?{") & set(address):
            missing.hint = f"record.select({address!r}) gives a list; [...] is one call's address"
        raise missing

    def backward(self, score: Tensor, *, retain_graph: bool = False) -> None:
        """Fill what gradient probes keep: d score / d probs of every tapped call, reduced on the way.

        Nothing else gets a gradient: no parameter's and no input's `.grad` is touched. Call it inside of the
        watch's block. A second call starts anew (`loss.backward()` also fills, and adds up).
        """
        if not self.taps:
            raise CallError(
                "no call was tapped, so there is no gradient to take",
                hint="watch(model, keep=[a probe that reads gradients]), run the model, then record.backward(score); "
                "with reentrant checkpoints, score.backward()",
            )
        for _, values in self.taps:
            for name in self.in_backward:
                values.pop(name, None)
        self.carried.clear()
        torch.autograd.grad(score.sum(), [leaf for leaf, _ in self.taps], retain_graph=retain_graph, allow_unused=True)

    def select(self, selection: str) -> list[Reading]:
        """Readings whose site matches, in order; `SiteError` if none does."""
        match = matcher(selection)
        chosen = [r for r in self.readings if match(r.site)]
        if not chosen:
            raise no_match(selection, (r.address for r in self.readings))
        return chosen

    @property
    def error(self) -> float:
        """The largest self-check error of all readings."""
        return max((float(r.error) for r in self.readings), default=0.0)

    @property
    def bytes(self) -> int:
        """Memory held by the kept tensors."""
        return sum(v.numel() * v.element_size() for r in self.readings for v in r.values.values())

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it to one file (safetensors), whole or not at all; `Record.load` reads it."""
        from regard.core import store

        return store.save(self, path)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Record:
        """Read what `save` wrote. Raises DataError for what is no saved record."""
        from regard.core import store

        return store.load(path)

    def table(self, name: str) -> Table:
        """Calls x heads: the mean of a kept number over batch and queries; NaN entries do not count."""
        rows = []
        width = max((r.heads for r in self.readings), default=0)
        for reading in self.readings:
            value = reading[name]
            if value.shape[:2] != (reading.batch, reading.heads) or value.ndim not in (2, 3):
                raise CallError(
                    f"'{name}' at {reading.address} is {list(value.shape)}, not one number a head or a query",
                    hint=f"record['{reading.address}']['{name}'] is the tensor itself",
                )
            per_head = value.double().transpose(0, 1).flatten(1).nanmean(1).tolist()
            rows.append((reading.address, *per_head, *[None] * (width - reading.heads)))
        heads = tuple(f"head {h}" for h in range(width))
        return Table(
            columns=("site", *heads), rows=tuple(rows), title=name, units=dict.fromkeys(heads, self.units.get(name, ""))
        )
