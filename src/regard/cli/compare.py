"""`regard compare`: a leaderboard of methods on your model and your photos."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regard import api, api_scores
from regard.cli.interrupt import interruptible
from regard.cli.options import Settings, settings_of
from regard.cli.show import console, write_error, write_json, write_table
from regard.results import Table
from regard.results import _short as short

if TYPE_CHECKING:
    from regard.runs.comparison import Comparison

DEFAULTS = ("gradcam,integrated_gradients,occlusion,rise", "deletion,insertion,infidelity,mu_fidelity,saco")


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command("compare", short_help="Rank methods on your model and photos, beside controls.")(compare)


def compare(
    folder: Annotated[Path, typer.Argument(help="A folder of photos.")],
    model: Annotated[str, typer.Option(help="A model by name (see regard look --help).")] = "efficientnet-lite0",
    methods: Annotated[str, typer.Option(help="Explainers by name, with commas.")] = DEFAULTS[0],
    metrics: Annotated[str, typer.Option(help="Metrics by name, with commas.")] = DEFAULTS[1],
    baselines: Annotated[str, typer.Option(help="What stands in for removed cells, with commas.")] = "blur,mean",
    cells: Annotated[int, typer.Option(help="Cells along the shorter side, the same for all maps.", min=4)] = 7,
    orders: Annotated[int, typer.Option(help="How many random maps each map is held against.", min=1)] = 19,
    seed: Annotated[int, typer.Option(help="Of masks, random maps and shuffled weights.", min=0)] = 0,
    options: Settings = None,
    out: Annotated[Path, typer.Option(help="Folder for records, tables and the page.")] = Path("regard-compare"),
    json: Annotated[bool, typer.Option("--json", help="Print a JSON summary instead of words.")] = False,
) -> None:
    """Rank methods on your model and photos, beside controls.

    Each finished photo is kept: stopped at any moment, the same command goes on from there. The exit code is 1 where a
    method failed on every photo (all else is written all the same), 130 where the command was interrupted.
    """
    from regard.report.compare import write

    given = settings_of(_split(methods), options)
    with interruptible(f"interrupted: finished photos are kept in {out}; the same command goes on from there"):
        made = api_scores.compare(
            api.model(model, seed=seed), folder, methods=_split(methods), metrics=_split(metrics),
            baselines=_split(baselines), cells=cells, orders=orders, seed=seed, options=given, out=out,
        )  # fmt: skip
    made.save(out)
    page = write(made, out)
    if json:
        write_json({key: value for key, value in made.to_dict().items() if key != "records"} | {"report": str(page)})
    else:
        _tell(made, page)
    lost = [row for row in made.failures.rows if row[0] in made.plan.methods and row[1] == row[2]]
    for name, failed, _, why in lost:
        write_error(f"{name} failed on {'all ' * (failed > 1)}{failed} photo{'s' * (failed > 1)}: {why}")
    if lost:
        raise typer.Exit(1)


def _split(names: str) -> list[Any]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _short(table: Table, columns: list[int], wanted: Callable[[Any], bool] = bool) -> Table:
    """Some columns and rows, numbers to three digits."""
    rows = tuple(tuple(short(row[i]) for i in columns) for row in table.rows if wanted(row))
    return Table(tuple(table.columns[i] for i in columns), rows)


def _tell(made: Comparison, page: Path) -> None:
    from rich.markup import escape

    from regard.runs.comparison import with_words

    screen = console()
    screen.print(f"[bold]{len(made.records)} photos · {escape(made.model)}[/] ({made.kept} finished before)")
    first = made.plan.baselines[0]
    for metric in made.plan.metrics:
        rows = [row for row in made.leaderboard.rows if row[:2] == (metric, first)]
        screen.print(escape(f"{metric} ({first} baseline): {', '.join(str(row[2]) for row in rows[:3])}"))
    claims = _short(with_words(made.claims), [2, 0, 4, 8, 9], lambda row: row[1] == first)
    write_table(claims, as_json=False, squeeze="claim")
    write_table(_short(made.cost, [0, 1, 2, 3]), as_json=False, squeeze="method")
    for name, failed, of, why in made.failures.rows:
        if failed < of:  # what failed on all is an error, told by itself
            screen.print(f"[red]![/] {escape(name)} failed on {failed} of {of} photos: {escape(why)}", soft_wrap=True)
    kept = ", ".join(f"{name} {share:.0%}" for name, share, _ in made.masked.rows)
    screen.print(escape(f"choice kept with half of the cells gone: {kept}"))
    for name, reason in made.failed.items():
        screen.print(f"[red]{escape(name)}[/]: {escape(reason)}")
    screen.print(f"report: {escape(str(page))}", soft_wrap=True)
