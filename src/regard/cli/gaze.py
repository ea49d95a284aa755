"""`regard gaze`: where people may look on photos."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from regard import api
from regard.cli.gaze_train import train
from regard.cli.show import console, write_error, write_json
from regard.errors import DataError, ImageError, MethodError
from regard.gaze import verbs


class Showing(TyperGroup):
    """A group whose first argument may be a photo: then it is the command `show`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        known = bool(args) and (args[0] in self.commands or args[0] in ("--help", "-h"))
        return super().parse_args(ctx, args if known else ["show", *args])


def add_to(app: typer.Typer) -> None:
    """Register the commands: `regard gaze PHOTO ...` is `regard gaze show PHOTO ...`."""
    group = typer.Typer(
        cls=Showing, help="Show where people may look on photos (regard gaze PHOTO ...), or train on your eye data.",
        context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip
    group.command("show", short_help="Where people may look: regard gaze PHOTO ... does the same.")(gaze)
    group.command("train", short_help="Train a readout on your own eye data.")(train)
    app.add_typer(group, name="gaze", short_help="Show where people may look on photos.")


def gaze(
    photos: Annotated[
        list[str] | None, typer.Argument(help="Photos: paths or sample:NAME.", show_default="sample:chelsea")
    ] = None,
    method: Annotated[str, typer.Option(help="A predictor (see regard list gaze.predictors).")] = "gaze-dinov2",
    when: Annotated[str, typer.Option(help="Of a viewing: early, middle or late; else all of it.")] = "",
    weights: Annotated[str, typer.Option(help="A file of regard gaze train, for gaze-dinov2.")] = "",
    fixations: Annotated[int, typer.Option(help="Length of the scanpath over the map's peaks; 0: none.", min=0)] = 6,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("regard-gaze"),
    json: Annotated[bool, typer.Option("--json", help="Print a JSON summary instead of words.")] = False,
) -> None:
    """Show where people may look on photos.

    Writes report.html and a picture for each photo: a heat map with contours, and the order in which its peaks would be
    looked at (winner take all). gaze-dinov2 was trained on people's fixations in free viewing; its contours enclose 25,
    50 and 75 % of looks. All other methods give saliency without trained weights, no share of looks: their contours
    enclose the highest 5, 10 and 20 % of the picture. rg.gaze.score holds any map against people's fixations.
    """
    from regard.report.gaze import page, summary, write

    predictor = _chosen(method, when, weights)
    told: list[dict[str, Any]] = []
    for photo in photos or ["sample:chelsea"]:
        try:
            x = api.image(photo)
        except (ImageError, DataError) as error:
            write_error(str(error))
            told.append({"source": photo, "error": str(error)})
            continue
        heat = verbs.predict(x, predictor)
        flat = bool(heat.values.max() == heat.values.min())
        size = (int(x.shape[2]), int(x.shape[3]))
        xy = verbs.scanpath(heat, size, fixations=fixations).xy if fixations and not flat else []
        path = _free(out, f"{Path(photo.removeprefix('sample:')).stem or 'photo'}-{heat.method}", told)
        path.parent.mkdir(parents=True, exist_ok=True)
        write(heat, x[0].permute(1, 2, 0).numpy(), xy, path)
        told.append({"source": photo, **summary(heat, xy, path, size)})
    read = any("error" not in one for one in told)
    report = page(told, out) if read else None
    if json:
        write_json(told)
    else:
        _tell(told, report)
    if any("error" in one for one in told):
        raise typer.Exit(1)


def _tell(told: list[dict[str, Any]], report: Path | None) -> None:
    from rich.markup import escape

    screen = console()
    for one in told:
        if "error" in one:
            continue
        grid = one["grid"]
        screen.print(f"[bold]{escape(one['source'])}[/] · {one['method']}")
        kind = "shares of looks" if one["unit"] == "density" else "saliency, no share of looks"
        screen.print(f"{grid['h']} x {grid['w']} values, {one['seconds']:.1f} s; {kind}")
        if one["fixations"]:
            order = ", ".join(f"({int(x)}, {int(y)})" for x, y in one["fixations"])
            screen.print(escape(f"peaks in order (x, y): {order}"))
        if parts := [f"{100 * r['mass']:.0f} % at ({', '.join(map(_round, r['centre']))})" for r in one["regions"][:4]]:
            screen.print(escape(f"regions of half of the map: {', '.join(parts)}"))
        screen.print(f"picture: {escape(one['picture'])}\n", soft_wrap=True)
    if report:
        screen.print(f"report: {escape(str(report))}", soft_wrap=True)


def _round(value: float) -> str:
    return str(int(value))


def _free(folder: Path, name: str, told: list[dict[str, Any]]) -> Path:
    """`name.png`, or `name-2.png` ... where this run has written that already, for another photo of the same name."""
    taken = {one.get("picture") for one in told}
    paths = (folder / f"{name}{end}.png" for end in ("", *(f"-{n}" for n in range(2, len(told) + 2))))
    return next(path for path in paths if str(path) not in taken)


def _chosen(method: str, when: str, weights: str) -> Any:
    """The predictor, with the options that only the learnt one has."""
    given = {name: value for name, value in (("when", when), ("weights", weights)) if value}
    if not given:
        return method
    if method.replace("-", "_") != "gaze_dinov2":
        raise MethodError(f"{method} has no {' and no '.join(given)}", hint="--method gaze-dinov2")
    from regard.gaze.predictors.gaze_dinov2 import gaze_dinov2

    return partial(gaze_dinov2, **given)
