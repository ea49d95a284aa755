"""What the attention of one forward shows: rows, tables and the pooled matrix, in one watched pass."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from regard.core.record import Reading, Record
from regard.core.watch import Watch
from regard.layout import Grid
from regard.mechanisms import ALL
from regard.registry import find
from regard.results import Table

TABLES = ("entropy", "distance", "prefix_mass", "sink_mass")
CELLS = 200  # about how many query cells the interactive view has


@dataclass(frozen=True)
class Attention:
    """Attention of one picture: L layers x H heads on one grid.

    rows `[L, H, N]`: the CLS row of each head, or, where a model has no prefix token, what each token
    receives; pooled `[L, H, G, P]`: cells of `cell` x `cell` query patches to patches; record: the
    readings, with what any row can be had from again, and the keys where there are any.
    """

    sites: tuple[str, ...]
    grid: Grid
    who: str
    rows: NDArray[np.float32]
    pooled: NDArray[np.float32]
    cell: int
    tables: dict[str, Table]
    record: Record
    calls: int
    not_covered: Counter[str]
    patch_site: str | None
    seconds_plain: float
    seconds_watched: float

    @property
    def heads(self) -> int:
        return int(self.rows.shape[1])

    def maps(self) -> NDArray[np.float32]:
        """`rows` over the patches, `[L, H, h, w]`."""
        on_patches = self.rows[..., self.grid.prefix :]
        return on_patches.reshape(*self.rows.shape[:2], self.grid.h, self.grid.w)


def see(model: nn.Module, x: Tensor) -> tuple[Attention | None, Counter[str]]:
    """Watch one forward; None if no attention lies on a grid. Also: what looks like attention but is not covered."""
    start = time.perf_counter()
    with torch.inference_mode(), Watch(model, ALL, "*", ()) as found:
        model(x)
    plain = time.perf_counter() - start
    chosen = same_shape(found.readings)
    if not chosen:
        return None, found.not_covered
    grid = chosen[-1].grid
    assert grid is not None
    cell = cell_of(grid)
    start = time.perf_counter()
    features = ["k"] if all("k" in r.gives for r in chosen) else []
    with torch.inference_mode(), Watch(model, ALL, [r.site for r in chosen], _keep(cell, features)) as record:
        model(x)
    watched = time.perf_counter() - start
    wanted = {r.address for r in chosen}  # a shared module may also be called on another layout
    record.readings = [r for r in record if r.address in wanted]
    has_cls = grid.prefix > 0
    return Attention(
        sites=tuple(r.address for r in record),
        grid=grid,
        who="CLS" if has_cls else "received",
        rows=_stack(record, "row" if has_cls else "received").reshape(len(record), chosen[-1].heads, grid.tokens),
        pooled=_stack(record, "pooled"),
        cell=cell,
        tables={name: record.table(name) for name in TABLES},
        record=record,
        calls=len(found),
        not_covered=found.not_covered,
        patch_site=record.patch_site,
        seconds_plain=plain,
        seconds_watched=watched,
    ), found.not_covered


def cell_of(grid: Grid) -> int:
    """How many patches a query cell has along each side, so that about CELLS of them cover the grid."""
    return max(1, round(math.sqrt(grid.patches / CELLS)))


def same_shape(readings: Sequence[Reading]) -> list[Reading]:
    """The calls on the last grid that have as many heads as the last of them."""
    on_grid = [r for r in readings if r.grid is not None]
    return [r for r in on_grid if r.grid == on_grid[-1].grid and r.heads == on_grid[-1].heads]


def _keep(cell: int, features: Sequence[str] = ("k",)) -> dict[str, Any]:
    keep: dict[str, Any] = {name: name for name in ("attention", *features)}
    for name in (*TABLES, "row", "received"):
        keep[name] = find("probes", name)[1]
    keep["pooled"] = partial(find("probes", "pooled")[1], query=cell)
    return keep


def _stack(record: Record, name: str) -> NDArray[np.float32]:
    return torch.stack([r[name][0] for r in record]).float().cpu().numpy()


def cls_map(model: nn.Module, x: Tensor, like: Attention) -> NDArray[np.float32]:
    """The head-averaged map of the last layer of `like`, on another picture or model: `[h, w]`."""
    probe = find("probes", "row" if like.who == "CLS" else "received")[1]
    last = like.record.readings[-1]  # its site, not its address: a module called twice is one site
    with torch.inference_mode(), Watch(model, ALL, last.site, {"it": probe}) as record:
        model(x)
    values = record[last.address]["it"][0].float().flatten(1).mean(0).cpu().numpy()
    on_patches: NDArray[np.float32] = values[like.grid.prefix :].reshape(like.grid.h, like.grid.w)
    return on_patches
