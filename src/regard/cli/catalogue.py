"""`regard list`, `regard card`, `regard papers`: what there is, read from the catalogue without torch."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from typing import Annotated

import typer

from regard import api, bibliography
from regard.cli.show import console, flow, write_json, write_table
from regard.registry import FAMILIES
from regard.results import Table

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("list", short_help="List methods.")(list_methods)
    app.command("card", short_help="Show the facts about one method.")(card)
    app.command("papers", short_help="List the papers and how far each of them is.")(papers)


def list_methods(
    family: Annotated[str | None, typer.Argument(help="As probes, explainers or gaze.metrics.")] = None,
    json: AsJson = False,
) -> None:
    """List every method in the catalogue, or those of one family."""
    table = api.methods(family)
    if json:
        write_table(table, as_json=True)
        return
    screen = console(table=True)
    for name, rows in groupby(table.rows, key=lambda row: row[0]):
        methods = [(row[1], row[2]) for row in rows]
        screen.print(f"[bold]{name}[/], {len(methods)}: {FAMILIES[name].one_line}", soft_wrap=True)
        wide = max(len(method) for method, _ in methods)
        for method, told in methods:
            line = f"  {method:{wide}}  {told}"
            cut = line if len(line) <= screen.width else line[: screen.width - 1].rstrip() + "…"
            screen.print(cut, markup=False, highlight=False, no_wrap=True)


def card(
    name: Annotated[str, typer.Argument(help="A method: rollout, or explainers.rollout.")], json: AsJson = False
) -> None:
    """Show what a method does, its paper, what it needs, how it differs, its options."""
    facts = api.card(name)
    if json:
        write_json(facts)
        return
    from rich.markup import escape

    source = bibliography.paper(facts["paper"])
    screen = console()
    screen.print(f"[bold]{facts['family']}.{facts['name']}[/] -> {facts['gives']} ({facts['unit']})\n")
    screen.print(escape(flow(facts["doc"])))
    where = f" ({source.year})" if source.year else ""
    screen.print(f"\n[bold]paper[/]    {escape(source.title)}{where}")
    if source.url:
        screen.print(f"         {source.url}", soft_wrap=True)  # an address is of no use in two pieces
    for fact in ("claim", "source", "differs"):
        screen.print(f"[bold]{fact:8}[/] {escape(facts[fact])}")
    screen.print(f"[bold]needs[/]    {', '.join(facts['needs'])}")
    for option in facts["options"]:
        screen.print(f"[bold]option[/]   {option['name']}: {escape(option['kind'])} = {option['default']!r}")


def papers(
    query: Annotated[str, typer.Argument(help="Text in key, title, family or mechanism.")] = "",
    state: Annotated[str, typer.Option(help="Only rows that are planned, built or works.")] = "",
    cited: Annotated[bool, typer.Option("--cited", help="Also papers cited beside the 279.")] = False,
    json: AsJson = False,
) -> None:
    """List the papers that regard makes runnable, and how far each of them is."""
    table = api.papers(query, state=state, cited=cited)  # type: ignore[arg-type]
    if json:
        write_table(table, as_json=True)
        return
    write_table(_narrow(table), as_json=False, squeeze="title")
    counts = Counter(table.column("state"))
    told = ", ".join(f"{counts[s]} {s}" for s in ("works", "built", "planned") if counts[s])
    console().print(f"{len(table.rows)} papers: {told or 'none'}")


def _narrow(table: Table) -> Table:
    """Key, state, year and title: what fits a terminal."""
    wanted = [table.columns.index(c) for c in ("key", "state", "year", "title")]
    rows = tuple(tuple(row[i] for i in wanted) for row in table.rows)
    return Table(columns=("key", "state", "year", "title"), rows=rows, title=table.title)
