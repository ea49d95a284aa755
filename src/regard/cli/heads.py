"""`regard heads`: every head of a model in one number, and a page on where single heads look."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from regard import api_heads
from regard.cli.interrupt import interruptible
from regard.cli.options import options_of, with_options
from regard.cli.show import WIDTH, console, write_json

if TYPE_CHECKING:
    from rich.table import Table as Drawn

    from regard.atlas import Atlas
    from regard.looking.headview import HeadSettings


def add_to(app: typer.Typer) -> None:
    """Register the command; its options are those of `regard.heads`."""
    app.command("heads", short_help="See what every head of a model does, and where single heads look.")(
        with_options(heads, options_of(api_heads.heads))
    )


def heads(
    images: Annotated[
        list[str] | None,
        typer.Argument(help="Photos: paths, folders of photos, or sample:NAME.", show_default="sample:chelsea"),
    ] = None,
    model: Annotated[str, typer.Option(help="The model, as `regard look` takes it.")] = "dinov2-small",
    head: Annotated[
        str | None,
        typer.Option(help="LAYER.HEAD to show first, from 0: 11.3. Else a sharp late one.", metavar="L.H"),
    ] = None,
    groups: Annotated[int, typer.Option(help="How many groups of heads.", min=1)] = 6,
    seed: Annotated[int, typer.Option(help="Of random models, and of the tokens that are drawn.", min=0)] = 0,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("regard-heads"),
    json: Annotated[bool, typer.Option("--json", help="Print a JSON summary instead of words.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Write over the report of an earlier run.")] = False,
    **options: Any,
) -> None:
    """See what every head of a model does, and where single heads look.

    Writes one self-contained report.html: a number for every head over all photos, every head's
    attention on the first photo, six heads in full precision with the products behind their logits, queries
    and keys in one plane, and groups of heads that look alike. Beside it: results (.npz), summary.json. A finished
    report of the same photos and settings is told again; one of others is not written over.
    """
    from regard.looking.headview import HeadSettings
    from regard.report.heads import fingerprint, kept

    settings = HeadSettings(model=model, head=head, groups=groups, seed=seed, **options)
    sources = images or ["sample:chelsea"]
    mark = fingerprint(sources, settings)
    facts = None if fresh else kept(out, mark)
    summary = facts or _made(sources, settings, out, mark)
    if json:
        write_json({"report": str(out / "report.html"), **summary})
    else:
        _tell(summary, out, kept=facts is not None)
    if summary["unread"]:
        raise typer.Exit(1)


def _made(sources: list[str], settings: HeadSettings, out: Path, mark: str) -> dict[str, Any]:
    from regard.looking.headview import view_heads
    from regard.report.heads import summary, write

    with interruptible("interrupted: nothing was written"):
        view = view_heads(sources, settings)
    with interruptible(f"interrupted: what is in {out} is not whole"):
        write(view, out, mark)
    return summary(view)


def _tell(summary: dict[str, Any], out: Path, *, kept: bool) -> None:
    from rich.markup import escape

    from regard.results import load

    screen, atlas = console(), cast("Atlas", load(out / "atlas.npz"))
    count = len(atlas.pictures)
    several = f", mean of {count} photos" if count > 1 else f" on {atlas.pictures[0]}"
    screen.print(
        f"[bold]{escape(summary['model'])}[/] · {atlas.probe.replace('_', ' ')} ({atlas.unit}){escape(several)}"
        + (" · kept" if kept else "")
    )
    for part in tables(atlas):
        screen.print(part)
    for sentence in summary["words"]:
        screen.print(escape(sentence))
    for line in summary["trust"]:
        if line["level"] != "good":
            screen.print(f"[red]![/] [bold]{escape(line['what'])}[/] {escape(line['text'])}")
    screen.print(f"report: {escape(str(out / 'report.html'))}", soft_wrap=True)


def tables(atlas: Atlas) -> list[Drawn]:
    """The atlas with a coloured cell a head; more heads than fit 80 columns go on below."""
    from rich.markup import escape
    from rich.table import Table as Drawn

    from regard.looking.heads import short
    from regard.report.cells import shades, text_of

    values, colours = atlas.values, shades(atlas.values)
    texts = [[text_of(float(v)) for v in row] for row in values]
    names = [name if len(name) <= 24 else f"{name[:8]}…{name[-15:]}" for name in short(atlas.addresses)]
    width = 2 + max(len(text) for row in texts for text in row)
    fit = max(1, (WIDTH - max(map(len, names)) - 2) // width)
    fit = math.ceil(values.shape[1] / math.ceil(values.shape[1] / fit))  # parts of about one width
    drawn = []
    for start in range(0, values.shape[1], fit):
        table = Drawn(box=None, show_edge=False, padding=(0, 0), pad_edge=False)
        table.add_column("layer", no_wrap=True, min_width=max(map(len, names)) + 1)
        shown = range(start, min(start + fit, values.shape[1]))
        for head in shown:
            table.add_column(str(head), no_wrap=True, justify="right", width=width)
        for layer, name in enumerate(names):
            cells = []
            for head in shown:
                colour, text = colours[layer][head], texts[layer][head]
                bold = "bold " if (layer, head) in (atlas.lowest, atlas.highest) else ""
                cells.append(f"[{bold}{_hex(colour.ink)} on {colour.fill}]{text:>{width}}[/]" if colour else "")
            table.add_row(escape(name), *cells)
        drawn.append(table)
    return drawn


def _hex(ink: str) -> str:
    """`#000` as rich writes it."""
    return "#" + "".join(2 * digit for digit in ink[1:])
