"""`regard look`: one honest report a photo."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regard import api
from regard.cli.interrupt import interruptible
from regard.cli.options import options_of, with_options
from regard.cli.show import console, write_json

if TYPE_CHECKING:
    from regard.report.batch import Done

_MARKS = {"good": "[green]✓[/]", "note": "[yellow]•[/]", "warn": "[red]![/]"}


def add_to(app: typer.Typer) -> None:
    """Register the command; its options are those of `regard.look`."""
    app.command("look", short_help="See where a model looks on photos, and how far to trust it.")(
        with_options(look, options_of(api.look))
    )


def look(
    images: Annotated[
        list[str] | None, typer.Argument(help="Photos: paths or sample:NAME.", show_default="sample:chelsea")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the reports.")] = Path("regard-look"),
    json: Annotated[bool, typer.Option("--json", help="Print a JSON summary instead of words.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Look again at photos already finished.")] = False,
    **options: Any,
) -> None:
    """See where a model looks on photos, and how far to trust it.

    Writes one self-contained report.html for each photo, with raw arrays (.npz), pictures (.png)
    and summary.json beside it, and an index page over several.
    """
    from regard.looking.look import Settings
    from regard.report.batch import look_at

    target = options.pop("target")
    goal = int(target) if target is not None and re.fullmatch(r"-?\d+", target) else target
    with interruptible(f"interrupted: finished photos are kept in {out}; the same command goes on from there"):
        done = look_at(images or ["sample:chelsea"], Settings(target=goal, **options), out, fresh=fresh)
    if json:
        write_json([_plain(one) for one in done])
    else:
        _tell(done, out)
    if any(one.error for one in done):
        raise typer.Exit(1)


def _plain(one: Done) -> dict[str, Any]:
    if one.summary is None:
        return {"source": one.source, "error": one.error}
    return {"source": one.source, "report": str(one.folder / "report.html"), "kept": one.kept, **one.summary}


def _tell(done: list[Done], out: Path) -> None:
    from rich.markup import escape

    screen = console()
    for one in done:
        if one.summary is None:
            screen.print(f"[red]{escape(one.source)}[/]: {escape(one.error or '')}\n")
            continue
        s = one.summary
        screen.print(f"[bold]{escape(s['name'])}[/] · {escape(s['model'])}{' · kept' if one.kept else ''}")
        screen.print(escape(s["lead"]))
        if len(done) == 1:
            for sentence in s["words"]:
                screen.print(escape(sentence))
            screen.print()
        for line in s["trust"]:
            if len(done) == 1 or line["level"] == "warn":
                screen.print(f"{_MARKS[line['level']]} [bold]{escape(line['what'])}[/] {escape(line['text'])}")
        screen.print(f"report: {escape(str(one.folder / 'report.html'))}\n", soft_wrap=True)
    if len(done) > 1:
        failed = sum(one.error is not None for one in done)
        screen.print(f"{len(done) - failed} of {len(done)} photos: {escape(str(out / 'index.html'))}", soft_wrap=True)
