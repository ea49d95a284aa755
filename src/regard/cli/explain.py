"""`regard explain`: which part of a photo did it, by any method, as one picture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regard import api, registry
from regard.cli.interrupt import interruptible
from regard.cli.options import options_of, settings_of, with_options
from regard.cli.show import console, write_json

if TYPE_CHECKING:
    from regard.results import Map


def add_to(app: typer.Typer) -> None:
    """Register the command; its options are those of `regard.explain`."""
    app.command("explain", short_help="Show which part of a photo did it, by any method.")(
        with_options(explain, options_of(api.explain))
    )


def explain(
    photo: Annotated[str, typer.Argument(help="A photo, or sample:coffee.")] = "sample:chelsea",
    model: Annotated[str, typer.Option(help="A model by name (see regard look --help).")] = "dinov2-small",
    patches: Annotated[int, typer.Option(help="About how many patches a model of free size gets.", min=1)] = 576,
    out: Annotated[
        Path | None, typer.Option(help="The picture to write.", show_default="regard-explain/PHOTO-METHOD.png")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON summary instead of words.")] = False,
    **options: Any,
) -> None:
    """Show which part of a photo did it, by any method.

    Writes a picture: the map over what the model saw, with a bar that tells values and signs. Raw values
    are kept by regard.explain in Python.
    """
    from regard.report.explain import seen_by, summary, write

    target = options.pop("target")
    goal = int(target) if target is not None and re.fullmatch(r"-?\d+", target) else target
    chosen = registry.find("explainers", options["method"]).card.name
    options["options"] = settings_of([chosen], options["options"]).get(chosen)
    kept = options["resume"]
    after = f"scores so far are kept in {kept}; the same command goes on from there"
    with interruptible(f"interrupted: {after if kept else 'nothing was written'}"):
        made = api.model(model, seed=options["seed"])
        seen = seen_by(photo, made, patches)
        first = next(made.parameters(), None)
        heat = api.explain(made, seen.x if first is None else seen.x.to(first), target=goal, **options)
    path = out or Path("regard-explain") / f"{_name(photo)}-{heat.method}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write(heat, seen.seen, path)
    if json:
        write_json(summary(heat, path))
    else:
        _tell(heat, model, path, seen.notes)


def _name(photo: str) -> str:
    return Path(photo.removeprefix("sample:")).stem or "photo"


def _tell(heat: Map, model: str, path: Path, notes: tuple[str, ...]) -> None:
    from rich.markup import escape

    screen = console()
    of = f" of {heat.target}" if heat.target else ""
    screen.print(f"[bold]{escape(heat.method)}[/]{escape(of)} · {escape(model)}")
    at = f", read at {heat.site}" if heat.site else ""
    low, high, unit = heat.values.min(), heat.values.max(), heat.unit
    screen.print(escape(f"{heat.grid.h} x {heat.grid.w} values from {low:.3g} to {high:.3g} ({unit}){at}"))
    screen.print(f"{heat.forwards} forwards, {heat.seconds:.1f} s")
    if heat.gap is not None:
        screen.print(f"completeness gap: {heat.gap:.2g} of what the map should sum to")
    for note in notes:
        screen.print(escape(f"• {note}"))
    for warning in heat.warnings:
        screen.print(f"[red]![/] {escape(warning)}")
    screen.print(f"picture: {escape(str(path))}", soft_wrap=True)
