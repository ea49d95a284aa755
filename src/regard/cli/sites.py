"""`regard sites`: where a model attends, and whether anything goes unseen."""

from __future__ import annotations

import re
from itertools import groupby
from typing import Annotated, Any

import typer

from regard import api, api_calls
from regard.cli.show import console, write_table
from regard.results import Table

TOLD = ("address", "kind", "path", "heads", "queries", "keys", "grid", "calls")  # what fits a terminal
_NUMBER = re.compile(r"\d+")


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("sites", short_help="List where a model attends.")(sites)


def sites(
    photo: Annotated[str, typer.Argument(help="A photo, or sample:coffee.")] = "sample:coffee",
    model: Annotated[str, typer.Option(help="A model by name (see regard look --help).")] = "dinov2-small",
    patches: Annotated[int, typer.Option(help="About how many patches a model of free size gets.", min=1)] = 576,
    audit: Annotated[bool, typer.Option("--audit", help="Count what torch dispatched, and tell the gap.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List every attention site of a model: its kind, path, heads, size and grid; and what is not covered."""
    made = api.model(model)
    x = api.image(photo, like=made, patches=patches)
    if audit:
        write_table(api_calls.audit(made, x), as_json=json, squeeze="what")
        return
    table = api_calls.sites(made, x)
    if not table.rows and not json:
        console().print(table.title)
        return
    write_table(table if json else short(table), as_json=json, squeeze="address")


def short(table: Table) -> Table:
    """Rows that differ in one number of their address only, as one: `blocks.{0..11}.attn`."""
    once = all(calls == 1 for calls in table.column("calls"))
    told = TOLD[:-1] if once else TOLD
    at = [table.columns.index(name) for name in told]
    rows = [tuple(row[i] for i in at) for row in table.rows]
    merged: list[tuple[Any, ...]] = []
    for _, group in groupby(rows, key=lambda row: (_NUMBER.sub("#", row[0]), row[1:])):
        merged += _ranges(list(group))
    return Table(columns=told, rows=tuple(merged), title=table.title)


def _ranges(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """One row for those whose addresses count up in one place; as they are if they do not."""
    numbers = [[int(n) for n in _NUMBER.findall(row[0])] for row in rows]
    moving = [i for i, values in enumerate(zip(*numbers, strict=True)) if len(set(values)) > 1]
    if len(rows) < 3 or len(moving) != 1:
        return rows
    values = [one[moving[0]] for one in numbers]
    if values != list(range(values[0], values[0] + len(values))):
        return rows
    places = [match.span() for match in _NUMBER.finditer(rows[0][0])]
    start, stop = places[moving[0]]
    address = f"{rows[0][0][:start]}{{{values[0]}..{values[-1]}}}{rows[0][0][stop:]}"
    return [(address, *rows[0][1:])]
