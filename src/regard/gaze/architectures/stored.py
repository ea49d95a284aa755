"""An architecture fitted to your own eye data and kept as one file, for people who come with a table and a folder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from regard import files
from regard.errors import DataError, MethodError
from regard.gaze.architectures.train_architecture import ARCHITECTURES, Trained, train_architecture
from regard.gaze.data import Fixations
from regard.gaze.metrics.nss import nss


@dataclass(frozen=True)
class Stored:
    """weights: the file; learnt, held: names of photos; losses: of each epoch; nss: mean on the held photos, or NaN."""

    weights: Path
    architecture: str
    learnt: tuple[str, ...]
    held: tuple[str, ...]
    losses: tuple[float, ...]
    nss: float

    def __repr__(self) -> str:
        told = f", NSS {self.nss:.2f} on {len(self.held)} others" if self.held else ""
        return f"Stored({self.architecture}, {len(self.learnt)} photos{told}: {self.weights})"


def stored(
    architecture: str, fixations: Fixations, photos: str | os.PathLike[str], out: str | os.PathLike[str], *,
    epochs: int = 10, held: int = 5, seed: int = 0,
) -> Stored:  # fmt: skip
    """Train a published network (`ARCHITECTURES`) from random weights and keep it; `load` reads the file again.

    No pretrained weights are used, for there are none here: what comes out knows these photos and nothing else, and its
    NSS on the photos kept apart (every `held`-th, 0: none) tells how little or how much that is. The file says so too.

    Raises MethodError for an unknown name, DataError for missing photos.
    """
    if architecture not in ARCHITECTURES:
        raise MethodError.unknown("architecture", architecture, ARCHITECTURES, see=f"one of {', '.join(ARCHITECTURES)}")
    seen = fixations.inside()
    names = sorted(seen.images)
    missing = [name for name in names if not (Path(photos) / name).exists()]
    if missing or not names:
        raise DataError(
            f"{len(missing)} of {len(names)} photos are missing in '{photos}'{f', as {missing[0]}' if missing else ''}",
            hint="check the folder, and the column image",
        )
    apart = tuple(names[::held]) if held and len(names) > 1 else ()
    learnt = tuple(name for name in names if name not in set(apart))
    size = ARCHITECTURES[architecture][1]
    pictures = {name: _read(Path(photos) / name, size) for name in names}
    trained = train_architecture(architecture, seen, {n: pictures[n] for n in learnt}, epochs=epochs, seed=seed)
    scores = [_nss(trained, pictures[name], seen.on(name)) for name in apart]
    mean = sum(scores) / len(scores) if scores else float("nan")
    facts = {"architecture": architecture, "pretrained": "no", "photos": str(len(learnt)), "held": json.dumps(apart)}
    save(trained, Path(out), facts | {"epochs": str(epochs), "nss": f"{mean:.4f}"})
    return Stored(Path(out), architecture, learnt, apart, trained.losses, mean)


def save(trained: Trained, path: Path, facts: dict[str, str]) -> None:
    """Weights and facts about their training as one safetensors file, whole or absent."""
    from safetensors.torch import save as encoded

    tensors = {name: t.detach().clone().contiguous() for name, t in trained.model.state_dict().items()}
    with files.whole(path) as draft:
        draft.write_bytes(encoded(tensors, metadata=facts | {"losses": json.dumps(trained.losses)}))


def load(path: str | os.PathLike[str]) -> Trained:
    """A network that `stored` kept, in eval mode. Raises DataError for other files."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as opened:
            facts = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - no mapping
        make, size, *_ = ARCHITECTURES[facts["architecture"]]
        with torch.random.fork_rng(devices=[]):
            model = make()
        model.load_state_dict(tensors)
        losses = tuple(json.loads(facts["losses"]))
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise DataError(f"'{path}' holds no network of ours ({error})", hint="a file of regard gaze train") from error
    return Trained(model.eval(), size, losses)


def _read(photo: Path, size: tuple[int, int]) -> Tensor:
    from regard.models.picture import read_picture

    x = torch.from_numpy(read_picture(photo).rgb).permute(2, 0, 1)[None]
    return F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)[0]


def _nss(trained: Trained, photo: Tensor, seen: Fixations) -> float:
    """Of the network's density at the size at which people saw the photo."""
    assert seen.size is not None
    with torch.no_grad():
        logits = trained.model(2 * photo[None] - 1)[:, None]
    heat = F.interpolate(logits, seen.size, mode="bilinear", align_corners=False)[0, 0].double()
    return float(nss(heat.flatten().softmax(0).view(heat.shape), torch.from_numpy(seen.xy)))
