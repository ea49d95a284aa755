"""`opened`: whatever names pictures - tensors, paths, folders, lists - one at a time, as a model takes them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image
from torch import Tensor, nn

from regard.errors import DataError, LayoutError, RegardError, context
from regard.models.facts import facts_of
from regard.models.picture import Picture, read_picture
from regard.models.prepare import Prepared, prepare
from regard.progress import track
from regard.subjects.forward import check_pictures

if TYPE_CHECKING:
    from regard.models.picture import Source

    Pictures = Source | Sequence[Source]
else:
    Pictures = Any


@dataclass(frozen=True)
class Shot:
    """One picture as a model takes it `[1, C, H, W]`; a tensor that came prepared has no photo behind it."""

    name: str
    x: Tensor
    picture: Picture | None = None
    prepared: Prepared | None = None


def listed(pictures: Pictures) -> list[Any]:
    """Single pictures: a folder is the pictures in it, sorted; a tensor `[B, C, H, W]` its B prepared pictures."""
    if isinstance(pictures, Tensor) and pictures.ndim == 4:
        found: list[Any] = list(pictures.split(1))
    elif isinstance(pictures, (str, os.PathLike)) and Path(os.fsdecode(pictures)).expanduser().is_dir():
        found = _in_folder(Path(os.fsdecode(pictures)).expanduser())
    elif isinstance(pictures, (list, tuple)):
        found = [one for some in pictures for one in listed(some)]
    else:
        found = [pictures]
    if not found:
        raise LayoutError("no picture was given", hint="a path, a folder, a tensor [B, 3, H, W], or a list of them")
    return found


def _in_folder(folder: Path) -> list[str]:
    endings = Image.registered_extensions()
    found = sorted(str(p) for p in folder.iterdir() if p.suffix.lower() in endings and not p.name.startswith("."))
    if not found:
        raise DataError(
            f"no picture in the folder '{folder}'", hint="files that end in .jpg, .png, ...; folders in it are not read"
        )
    return found


def opened(
    model: nn.Module, pictures: Sequence[Any], patches: int, skipped: dict[int, str] | None = None
) -> Iterator[Shot]:
    """Read and prepare one after the other, with a bar if it lasts.

    skipped: where given, pictures that cannot be read are entered there (place -> why), unless it is all of them.
    """
    failed = 0
    for at, one in enumerate(track(pictures, "photos")):
        try:
            shot = _shot(model, one, at, patches)
        except (RegardError, OSError) as error:
            failed += 1
            if skipped is None or failed == len(pictures):
                raise
            skipped[at] = str(error).splitlines()[0]
            continue
        yield shot


def _shot(model: nn.Module, one: Any, at: int, patches: int) -> Shot:
    if isinstance(one, Tensor) and one.ndim == 4:
        check_pictures(model, one)
        return Shot(f"picture {at}", one)
    name = str(one) if isinstance(one, (str, os.PathLike)) else f"picture {at}"
    with context(f"while reading {name}"):
        picture = read_picture(one)
        prepared = prepare(picture, facts_of(model), patches=patches)
    first = next(model.parameters(), None)
    return Shot(picture.name, prepared.x if first is None else prepared.x.to(first), picture, prepared)


def sample(pictures: Sequence[Any], most: int) -> list[Any]:
    """At most so many of them, evenly spaced, the first among them."""
    step = max(1.0, len(pictures) / most)
    return [pictures[int(i * step)] for i in range(min(most, len(pictures)))]
