"""`train`: eye data and photos in, a file of weights out that `gaze_dinov2` takes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from regard.errors import DataError
from regard.gaze import training
from regard.gaze.data import Fixations
from regard.progress import track

STRETCH = 0.03  # by which a photo's shape may differ from that it was shown in


@dataclass(frozen=True)
class Trained:
    """weights: the file; learnt, held: the photos trained on, and kept apart; bits: on these, after each epoch."""

    weights: Path
    learnt: tuple[str, ...]
    held: tuple[str, ...]
    bits: tuple[float, ...]

    def __repr__(self) -> str:
        told = f", {self.bits[-1]:.2f} bits on {len(self.held)} others" if self.bits else ""
        return f"Trained({len(self.learnt)} photos{told}: {self.weights})"


def train(
    fixations: Fixations, photos: str | os.PathLike[str], out: str | os.PathLike[str], *, held: int = 5,
    schedule: training.Schedule = training.USUAL,
) -> Trained:  # fmt: skip
    """Train a readout of fixations on DINOv2-S/14; the network stays as it is.

    photos: the folder in which the pictures that fixations name lie. out: the file of weights. held: every so-manieth
    photo, in the order of names, is kept apart and scored after each epoch (bits a fixation over the centre prior of
    the others); 0: none. With durations there are slices of time (all, early, middle, late), without them only
    `all`.

    Raises DataError for missing photos and for fewer than four, and as `rg.image` for broken ones.
    """
    seen = fixations.inside()
    names = sorted(seen.images)
    if len(names) < 4:
        raise DataError(f"fixations on {len(names)} photos", hint="at least 4, to learn from and to keep apart")
    missing = [name for name in names if not (Path(photos) / name).exists()]
    if missing:
        raise DataError(f"no photo '{missing[0]}' ({len(missing)} are missing) in '{photos}'", hint="check the folder")
    apart = tuple(names[::held]) if held else ()
    learnt = tuple(name for name in names if name not in set(apart))
    assert seen.size is not None
    tokens = {n: features(Path(photos) / n, seen.size, mirrored=n in set(learnt)) for n in track(names, "features")}
    timed = not bool(torch.from_numpy(seen.duration).isnan().any())
    parts = training.slices(seen) if timed else [seen]
    count = training.counts(parts, learnt)
    made = training.fit(
        torch.cat([tokens[name] for name in learnt]), torch.stack([count, count.flip(-1)], 1).flatten(0, 1),
        training.centres(parts, learnt), schedule=schedule,
        held=(torch.cat([tokens[name] for name in apart]), training.counts(parts, apart)) if apart else None,
    )  # fmt: skip
    facts = {"photos": str(len(learnt)), "held": " ".join(apart), "epochs": str(schedule.epochs)}
    training.save(made.readout, Path(out), facts | {"bits": f"{made.bits[-1]:.4f}" if made.bits else ""})
    return Trained(Path(out), learnt, apart, made.bits)


def features(photo: Path, size: tuple[int, int], *, mirrored: bool) -> Tensor:
    """Patch features `[1 or 2, h, w, c]` in half precision: the photo, and its mirror image."""
    from regard.gaze.predictors.gaze_dinov2 import backbone, patch_features
    from regard.models.picture import read_picture

    x = torch.from_numpy(read_picture(photo).rgb).permute(2, 0, 1)[None]
    if abs(x.shape[-2] / x.shape[-1] / (size[0] / size[1]) - 1) > STRETCH:
        raise DataError(
            f"'{photo.name}' is {x.shape[-1]} x {x.shape[-2]}, the fixations are for {size[1]} x {size[0]}",
            hint="size=(height, width) of the photos as they were shown",
        )
    with torch.no_grad():
        return patch_features(torch.cat([x, x.flip(-1)]) if mirrored else x, backbone()).half()
