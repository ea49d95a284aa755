"""`survey`: one number for every head of a model, averaged over pictures, with its extremes in words."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from regard.atlas import Atlas
from regard.core.record import Reading, Record
from regard.core.watch import Watch
from regard.errors import CallError, DegenerateError
from regard.looking.album import Pictures, listed, opened
from regard.mechanisms import ALL
from regard.registry import Card, cards, find
from regard.subjects.forward import untouched
from regard.subjects.tap import block_of

PER_HEAD = ("PerQuery", "PerHead")
Array = NDArray[np.float64]

# What it means to have the lowest and the highest number; of other probes the number is named.
MEANS = {
    "entropy": ("looks at the fewest keys", "looks at the most keys"),
    "distance": ("looks nearest", "looks farthest"),
    "prefix_mass": ("looks least at CLS and registers", "looks most at CLS and registers"),
    "sink_mass": ("parks the least on sinks", "parks the most on sinks"),
}


@dataclass(frozen=True)
class Sites:
    """The calls that are read, and what is not."""

    addresses: tuple[str, ...]
    sites: tuple[str, ...]
    left_out: tuple[str, ...]


def survey(
    model: nn.Module,
    pictures: Pictures,
    *,
    probe: str | Callable[..., Any],
    site: str,
    patches: int,
    skipped: dict[int, str] | None = None,
) -> Atlas:
    """One watched forward a picture; nothing of the size of an attention matrix is kept.

    skipped: where given, pictures that cannot be read are left out and entered there.
    """
    start = time.perf_counter()
    chosen = find("probes", probe)
    check_probe(chosen.card)
    rows: list[Array] = []
    names: list[str] = []
    places: Sites | None = None
    with untouched(model), torch.inference_mode():
        for shot in opened(model, listed(pictures), patches, skipped):
            places = places or find_sites(model, shot.x, site, grid="grid" in chosen.card.subjects, probe=chosen.card)
            with Watch(model, ALL, list(places.sites), {"value": chosen.function}) as record:
                model(shot.x)
            rows.append(per_head(record, places, shot.name))
            names.append(shot.name)
    assert places is not None
    return summarise(np.stack(rows), places, chosen.card, tuple(names), chosen.settings, time.perf_counter() - start)


def check_probe(card: Card) -> None:
    """Refuse probes that give rows or maps before a model is run."""
    if card.gives not in PER_HEAD:
        fit = ", ".join(name for name, one in cards("probes").items() if one.gives in PER_HEAD)
        raise CallError(f"probe '{card.name}' gives more than one number a head or a query", hint=f"one of {fit}")


def find_sites(model: nn.Module, x: Tensor, select: str, *, grid: bool, probe: Card | None = None) -> Sites:
    """The calls of one forward that can be read: all that match, or those on a grid of patches where one is needed."""
    with Watch(model, ALL, select, ()) as record:
        model(x)
    told = [f"{what} (not covered)" for what in record.not_covered]
    if not record.readings:
        why = f"; not covered: {next(iter(record.not_covered))}" if told else ""
        raise CallError(
            f"{type(model).__name__} made no attention call that can be read{why}",
            hint="regard.sites(model, x) says what was seen; regard look shows models without attention",
        )
    fit = [r for r in record if r.grid is not None or not grid]
    if not fit:
        what = f"probe '{probe.name}'" if probe else "this view"
        raise CallError(
            f"{what} needs a grid of patches, and none of the {len(record)} attention calls lies on one",
            hint="a probe that needs none: entropy, sink_mass",
        )
    told += [f"{r.address} (not on a grid of patches)" for r in record if grid and r.grid is None]
    return Sites(tuple(r.address for r in fit), tuple(dict.fromkeys(r.site for r in fit)), tuple(told))


def per_head(record: Record, places: Sites, name: str) -> Array:
    """Means over queries `[L, H]` of one picture; NaN entries do not count, and where there is no head."""
    readings = {r.address: r for r in record}
    missing = [a for a in places.addresses if a not in readings]
    if missing:
        raise CallError(
            f"'{name}' makes no attention call at {missing[0]}, which the first picture made",
            hint="one kind of picture at a time: the model does not run alike on all of them",
        )
    chosen = [readings[a] for a in places.addresses]
    values = np.full((len(chosen), max(r.heads for r in chosen)), np.nan)
    for at, reading in enumerate(chosen):
        values[at, : reading.heads] = _mean(reading)
    return values


def _mean(reading: Reading) -> Array:
    value = reading["value"]
    if value.shape[:2] != (reading.batch, reading.heads) or value.ndim not in (2, 3):
        raise CallError(
            f"the probe gives {list(value.shape)} at {reading.address}, not one number a head or a query",
            hint="regard list probes",
        )
    means: Array = value.double().transpose(0, 1).flatten(1).nanmean(1).cpu().numpy()
    return means


def summarise(
    values: Array, places: Sites, card: Card, names: tuple[str, ...], settings: dict[str, Any], seconds: float
) -> Atlas:
    """Mean and spread over pictures `[P, L, H]`, and the words for the extremes."""
    mean = np.full(values.shape[1:], np.nan)
    there = ~np.isnan(values).all(0)
    if not there.any():
        raise DegenerateError(
            f"probe '{card.name}' gave no number for any head", hint="another probe: regard list probes"
        )
    mean[there] = np.nanmean(values[:, there], 0)
    std = None
    if len(values) > 1:
        std = np.full(mean.shape, np.nan)
        enough = (~np.isnan(values)).sum(0) > 1
        std[enough] = np.nanstd(values[:, enough], 0, ddof=1)
    low, high = (_place(which(mean), mean) for which in (np.nanargmin, np.nanargmax))
    return Atlas(
        values=mean, addresses=places.addresses, probe=card.name, unit=card.unit, std=std, pictures=names,
        lowest=low, highest=high, words=about(mean, std, places.addresses, card, len(names)),
        left_out=places.left_out, settings=settings, forwards=len(values) + 1, seconds=seconds,
    )  # fmt: skip


def _place(flat: Any, values: Array) -> tuple[int, int]:
    layer, head = np.unravel_index(int(flat), values.shape)
    return int(layer), int(head)


def short(addresses: Sequence[str]) -> tuple[str, ...]:
    """`blocks.3` for `blocks.3.attn`, as long as no two get the same name."""
    blocks = []
    for address in addresses:
        site, bracket, index = address.partition("[")
        blocks.append(block_of(site) + bracket + index)
    return tuple(blocks) if len(set(blocks)) == len(blocks) else tuple(addresses)


def number(value: float, unit: str, digits: int = 2) -> str:
    """A value with its unit, to some significant digits; shares of attention in percent."""
    if unit.startswith("share of"):
        return f"{_digits(100 * value, digits)} %{unit.removeprefix('share')}"
    return f"{_digits(value, digits)} {unit}".rstrip()


def _digits(value: float, digits: int) -> str:
    """Significant digits, zeros at the end among them, without an exponent for numbers of a common size."""
    if value == 0:
        return "0"
    before = math.floor(math.log10(abs(value))) + 1
    return f"{value:.{max(0, digits - before)}f}" if -3 < before <= 6 else f"{value:.{digits}g}"


def enough_digits(low: float, high: float, unit: str) -> int:
    """As many digits as tell two numbers apart, from two to five."""
    return next((n for n in (2, 3, 4) if number(low, unit, n) != number(high, unit, n)), 5)


def about(values: Array, std: Array | None, addresses: Sequence[str], card: Card, pictures: int) -> tuple[str, ...]:
    """The two extremes, how the mean goes from the first layer to the last, and where pictures differ most."""
    low, high = (_place(which(values), values) for which in (np.nanargmin, np.nanargmax))
    if values[low] == values[high]:
        return (f"All heads have the same {card.name}: {number(float(values[low]), card.unit)}.",)
    names = short(addresses)
    generic = (f"has the lowest {card.name}", f"has the highest {card.name}")
    digits = enough_digits(float(values[low]), float(values[high]), card.unit)
    told = [
        f"{names[at[0]]} head {at[1]} {phrase}: {number(float(values[at]), card.unit, digits)}{_spread(std, at)}."
        for at, phrase in zip((low, high), MEANS.get(card.name, generic), strict=True)
    ]
    rows = np.flatnonzero(~np.isnan(values).all(1))
    if len(rows) > 1:
        first, last = (number(float(np.nanmean(values[rows[at]])), card.unit, digits) for at in (0, -1))
        told.append(f"The mean of heads is {first} in {names[rows[0]]} and {last} in {names[rows[-1]]}.")
    if std is not None and not np.isnan(std).all() and np.nanmax(std) > 0:
        at = _place(np.nanargmax(std), std)
        told.append(
            f"The {pictures} pictures differ most at {names[at[0]]} head {at[1]}: standard deviation "
            f"{number(float(std[at]), card.unit)}."
        )
    return tuple(told)


def _spread(std: Array | None, at: tuple[int, int]) -> str:
    return "" if std is None or np.isnan(std[at]) else f" (± {std[at]:.2g} between pictures)"
