"""`regard gaze train`: a readout of fixations trained on your own eye data, or again on ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regard.cli.show import console, write_json

if TYPE_CHECKING:
    from regard.gaze.architectures.stored import Stored


def train(
    fixations: Annotated[
        Path, typer.Argument(help="A table of fixations, .csv or .tsv: image, observer, x, y, duration_ms.")
    ],
    photos: Annotated[Path, typer.Argument(help="The folder of the photos that it names.")],
    size: Annotated[str, typer.Option(help="Of the photos as they were shown, in pixels.")] = "800x600",
    unit: Annotated[str, typer.Option("--duration-unit", help="Of the column duration: s or ms.")] = "",
    held: Annotated[int, typer.Option(help="Keep every so-manieth photo apart, to be scored on; 0: none.", min=0)] = 5,
    architecture: Annotated[
        str, typer.Option(help="A published network in the place of the readout, from random weights: msi-net, ...")
    ] = "",
    per_degree: Annotated[
        float,
        typer.Option(help="Pixels of a degree of visual angle, by which people's maps are blurred for a network."),
    ] = 0.0,
    epochs: Annotated[int, typer.Option(help="Passes over all photos.", min=1)] = 18,
    seed: Annotated[int, typer.Option(help="Of weights and order.", min=0)] = 0,
    out: Annotated[Path, typer.Option(help="The file of weights.")] = Path("gaze-readout.safetensors"),
    json: Annotated[bool, typer.Option("--json", help="Print a JSON summary instead of words.")] = False,
) -> None:
    """Train a readout of fixations on your own eye data.

    The network (DINOv2-S/14) stays as it is; some 40,000 numbers on top of it are trained by the likelihood of
    fixations, for all of the viewing and for its early, middle and late third. Use it by
    rg.gaze.predict(x, partial(rg.gaze.predictors.gaze_dinov2, weights=FILE)).

    --architecture msi-net, juntingnet, mds-vitnet, sum or tempsal: that network in its published size is trained as a
    whole, from random weights, for none are published here that could be used; expect hours, and little from few
    photos. regard.gaze.architectures.load(FILE) gives it back.
    """
    from regard.gaze.architectures.stored import stored
    from regard.gaze.readers import read
    from regard.gaze.trained import train as run
    from regard.gaze.training import Schedule

    if architecture and not per_degree > 0:
        raise typer.BadParameter("a network learns from blurred maps: pixels, as 24", param_hint="--per-degree")
    seen = read(fixations, size=_size(size), duration_unit=_unit(unit), per_degree=per_degree or None)
    if architecture:
        _tell(stored(architecture, seen, photos, out, epochs=epochs, held=held, seed=seed), as_json=json)
        return
    made = run(seen, photos, out, held=held, schedule=Schedule(epochs=epochs, seed=seed))
    if json:
        told = {"weights": str(made.weights), "learnt": len(made.learnt), "held": list(made.held)}
        write_json({**told, "bits": list(made.bits)})
        return
    screen = console()
    screen.print(f"trained on {len(made.learnt)} photos, {len(made.held)} kept apart", markup=False)
    if made.bits:
        bits = ", ".join(f"{one:.2f}" for one in made.bits)
        screen.print(f"bits a fixation over the centre prior on those, after each epoch: {bits}", markup=False)
    screen.print(f"weights: {made.weights}", markup=False, soft_wrap=True)


def _tell(made: Stored, *, as_json: bool) -> None:
    facts: dict[str, Any] = {
        "weights": str(made.weights), "architecture": made.architecture, "pretrained": False,
        "learnt": len(made.learnt), "held": list(made.held), "losses": list(made.losses),
        "nss": made.nss if made.held else None,
    }  # fmt: skip
    if as_json:
        write_json(facts)
        return
    screen = console()
    screen.print(f"{made.architecture}, from random weights, on {len(made.learnt)} photos", markup=False)
    screen.print(f"loss of each epoch: {', '.join(f'{one:.3f}' for one in made.losses)}", markup=False)
    if made.held:
        screen.print(f"NSS on the {len(made.held)} photos kept apart: {made.nss:.2f} (0: chance)", markup=False)
    screen.print(f"weights: {made.weights}", markup=False, soft_wrap=True)


def _unit(text: str) -> Any:
    """None where the column's own name tells it, as duration_ms."""
    if text not in ("", "s", "ms"):
        raise typer.BadParameter(f"'{text}': s or ms", param_hint="--duration-unit")
    return text or None


def _size(text: str) -> tuple[int, int]:
    """`800x600` as (height, width)."""
    try:
        width, height = (int(part) for part in text.split("x"))
    except ValueError:
        raise typer.BadParameter(f"'{text}': width x height in pixels, as 800x600", param_hint="--size") from None
    return height, width
