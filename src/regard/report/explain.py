"""One explanation as a picture: the map over what the model saw, with a bar that tells values and signs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from regard import files
from regard.models.facts import facts_of
from regard.models.picture import Source, read_picture
from regard.models.prepare import Prepared, prepare
from regard.results import Map


def seen_by(source: Source, model: nn.Module, patches: int) -> Prepared:
    """A photo as the model takes it, and as it looks then."""
    return prepare(read_picture(source), facts_of(model), patches=patches)


def write(heat: Map, seen: Any, path: Path) -> Path:
    """Draw the first map over the photo that the model saw, whole or not at all."""
    height, width = seen.shape[:2]
    figure = heat.plot(over=seen).figure
    figure.set_size_inches(5.6, max(2.2, 4.3 * height / width + 0.5))  # type: ignore[union-attr]
    with files.whole(path) as draft:
        figure.savefig(draft, format="png", dpi=150)  # type: ignore[union-attr]
    return path


def summary(heat: Map, picture: Path | None) -> dict[str, Any]:
    """What the map says about itself, without its values."""
    told = {key: value for key, value in heat.to_dict().items() if key not in ("values", "se")}
    values = heat.values[0]
    row, column = divmod(int(abs(values).argmax()), values.shape[1])
    span = {"lowest": float(values.min()), "highest": float(values.max()), "sum": float(values.sum())}
    return {**told, **span, "largest at": [row, column], "picture": None if picture is None else str(picture)}
