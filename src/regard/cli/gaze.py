"""`regard gaze`: where people may look on photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from regard import api
from regard.cli.gaze_train import train
from regard.cli.show import console, write_error, write_json
from regard.errors import DataError, ImageError
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
    fixations: Annotated[int, typer.Option(help="Length of the scanpath over the map's peaks; 0: none.", min=0)] = 6,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("regard-gaze"),
    json: Annotated[bool, typer.Option("--json", help="Print a JSON summary instead of words.")] = False,
) -> None:
    """Show where people may look on photos.

    Writes a picture for each photo: a heat map with contours, and the order in which its peaks would be looked at
    (winner take all). gaze-dinov2 was trained on people's fixations in free viewing; its contours enclose 25, 50 and
    75 % of looks. All other methods give saliency without trained weights, no share of looks: their contours enclose
    the highest 5, 10 and 20 % of the picture. rg.gaze.score holds any map against people's fixations.
    """
    from regard.report.gaze import summary, write

    told: list[dict[str, Any]] = []
    for photo in photos or ["sample:chelsea"]:
        try:
            x = api.image(photo)
        except (ImageError, DataError) as error:
            write_error(str(error))
            told.append({"source": photo, "error": str(error)})
            continue
        heat = verbs.predict(x, method)
        flat = bool(heat.values.max() == heat.values.min())
        size = (int(x.shape[2]), int(x.shape[3]))
        xy = verbs.scanpath(heat, size, fixations=fixations).xy if fixations and not flat else []
        path = out / f"{Path(photo.removeprefix('sample:')).stem or 'photo'}-{heat.method}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(heat, x[0].permute(1, 2, 0).numpy(), xy, path)
        told.append({"source": photo, **summary(heat, xy, path)})
    if json:
        write_json(told)
    else:
        _tell(told)
    if any("error" in one for one in told):
        raise typer.Exit(1)


def _tell(told: list[dict[str, Any]]) -> None:
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
            order = ", ".join(f"({x:.0f}, {y:.0f})" for x, y in one["fixations"])
            screen.print(escape(f"peaks in order (x, y): {order}"))
        screen.print(f"picture: {escape(one['picture'])}\n", soft_wrap=True)
