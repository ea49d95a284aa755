"""`gather`: of each picture, every head's pooled attention and the queries and keys of chosen heads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from regard.atlas import HeadGroups
from regard.core.record import Reading, Record
from regard.core.watch import Watch
from regard.errors import CallError
from regard.layout import Grid
from regard.looking.album import Pictures, listed, opened, sample
from regard.looking.attention import cell_of, same_shape
from regard.looking.groups import features
from regard.looking.groups import group as grouped
from regard.looking.heads import find_sites
from regard.mechanisms import ALL
from regard.registry import find
from regard.subjects.forward import untouched

Head = tuple[int, int]  # (layer, head), layers counted among the calls on the picture's grid


@dataclass(frozen=True)
class Frame:
    """One picture: the layers on its grid, pooled attention `[L, H, G, P]` if asked for, and (q, k) `[N, D]` each."""

    name: str
    grid: Grid
    cell: int
    addresses: tuple[str, ...]
    heads: int
    pooled: NDArray[np.float32] | None
    operands: dict[Head, tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]]


def gather(
    model: nn.Module, pictures: Sequence[Any], *, patches: int, wanted: Sequence[Head] = (), pooled: bool = False
) -> Iterator[Frame]:
    """One watched forward a picture, and one more for each shape of picture."""
    known: dict[tuple[int, ...], list[Reading]] = {}
    with untouched(model), torch.inference_mode():
        for shot in opened(model, pictures, patches):
            shape = tuple(shot.x.shape)
            if shape not in known:
                known[shape] = _layers(model, shot.x)
            yield _frame(model, shot.x, shot.name, known[shape], wanted, pooled)


def _layers(model: nn.Module, x: Tensor) -> list[Reading]:
    with Watch(model, ALL, "*", ()) as found:
        model(x)
    if chosen := same_shape(found.readings):
        return chosen
    find_sites(model, x, "*", grid=True)  # says what there is instead
    raise AssertionError("a call on a grid that was not there before")


def _frame(
    model: nn.Module, x: Tensor, name: str, chosen: list[Reading], wanted: Sequence[Head], pooled: bool
) -> Frame:
    grid = chosen[-1].grid
    assert grid is not None
    cell = cell_of(grid)
    heads = [resolve_head(one, chosen) for one in wanted]
    keep: dict[str, Any] = {"pooled": partial(find("probes", "pooled")[1], query=cell)} if pooled else {}
    sites = [r.site for r in chosen] if pooled else [chosen[layer].site for layer, _ in heads]
    with Watch(model, ALL, sites, keep | ({"q": "q", "k": "k"} if wanted else {})) as record:
        model(x)
    addresses = tuple(r.address for r in chosen)
    return Frame(
        name, grid, cell, addresses, chosen[-1].heads,
        _stack(record, addresses) if pooled else None,
        {at: operands(record[addresses[at[0]]], at[1]) for at in heads},
    )  # fmt: skip


def resolve_head(at: Head, chosen: Sequence[Reading]) -> Head:
    """Negative layers and heads count from the end; CallError for what is not there."""
    layers, heads = len(chosen), chosen[-1].heads
    if not (-layers <= at[0] < layers and -heads <= at[1] < heads):
        raise CallError(
            f"no layer {at[0]} head {at[1]}: {layers} layers of {heads} heads lie on a grid",
            hint=f"layer 0 .. {layers - 1}, head 0 .. {heads - 1}",
        )
    return at[0] % layers, at[1] % heads


def operands(reading: Reading, head: int) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
    """q and k of one head of the first picture, in float64; the keys of grouped queries are shared."""
    groups = reading.heads // reading["k"].shape[1]
    return reading["q"][0, head].double().cpu(), reading["k"][0, head // groups].double().cpu()


def _stack(record: Record, addresses: Sequence[str]) -> NDArray[np.float32]:
    return torch.stack([record[a]["pooled"][0] for a in addresses]).float().cpu().numpy()


def head_groups(model: nn.Module, pictures: Pictures, *, groups: int, patches: int, most: int) -> HeadGroups:
    """Groups by the mean over at most `most` pictures, evenly drawn."""
    frames = list(gather(model, sample(listed(pictures), most), patches=patches, pooled=True))
    return group_frames(frames, groups)


def group_frames(frames: Sequence[Frame], groups: int) -> HeadGroups:
    """Groups by the mean of the features over pictures, each on its own grid."""
    found = []
    for frame in frames:
        assert frame.pooled is not None
        found.append(features(frame.pooled, frame.grid, frame.cell))
    return grouped(np.mean(found, axis=0), frames[0].addresses, groups, [f.name for f in frames])
