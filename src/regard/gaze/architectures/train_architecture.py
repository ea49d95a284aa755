"""`train_architecture`: one of the published networks, fitted to people's fixations on your photos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from regard.errors import DegenerateError, LayoutError, MethodError
from regard.gaze.architectures._losses import LOSSES
from regard.gaze.architectures.junting_net import JuntingNet
from regard.gaze.architectures.mds_vitnet import MDSViTNet
from regard.gaze.architectures.msi_net import MSINet
from regard.gaze.architectures.sum_mamba import SUM
from regard.gaze.architectures.tempsal import TempSAL
from regard.gaze.data import Fixations
from regard.gaze.maps import blurred, fixation_map
from regard.progress import track

# what each takes (height, width), the optimiser's rate, and the loss, as published
ARCHITECTURES: Mapping[str, tuple[Callable[[], nn.Module], tuple[int, int], float, str]] = {
    "msi-net": (MSINet, (240, 320), 1e-5, "kl"),
    "juntingnet": (JuntingNet, (96, 96), 1e-3, "kl"),
    "mds-vitnet": (MDSViTNet, (288, 384), 1e-4, "kl"),
    "sum": (SUM, (256, 256), 1e-4, "mixed"),
    "tempsal": (TempSAL, (256, 256), 1e-4, "kl"),
}


@dataclass(frozen=True)
class Trained:
    """A fitted network in eval mode, the size at which it takes photos, and the mean loss of each epoch."""

    model: nn.Module
    size: tuple[int, int]
    losses: tuple[float, ...]


def train_architecture(
    architecture: str | nn.Module,
    fixations: Fixations,
    photos: Mapping[str, Tensor],
    *,
    epochs: int = 10,
    batch: int = 1,
    rate: float | None = None,
    size: tuple[int, int] | None = None,
    loss: str | None = None,
    seed: int = 0,
) -> Trained:
    """Fit an architecture (`ARCHITECTURES`, or your own module: photos -> logits) to people's blurred maps.

    photos: {name: [3, H, W] or [1, 3, H, W] in 0..1}, resized to `size` (height, width) and centred to -1..1; people's
    maps are their fixations' counts blurred by one degree, resized to the logits' cells. Adam at `rate`; None for what
    was published. Weights are drawn and photos shuffled with `seed`; the global random state stays. A network of
    published size needs days on people's photos without pretrained weights: the metrics tell how far it came.

    Raises MethodError for an unknown name, DegenerateError where no photo has fixations.

    >>> eyes = Fixations([[4.0, 4.0]], size=(16, 16), per_degree=2.0)
    >>> net = nn.Sequential(nn.Conv2d(3, 1, 1), nn.Flatten(1, 2))
    >>> told = train_architecture(net, eyes, {"picture": torch.rand(3, 16, 16)}, epochs=2, size=(16, 16))
    >>> len(told.losses)
    2
    """
    named = ARCHITECTURES.get(architecture) if isinstance(architecture, str) else None
    if isinstance(architecture, str) and named is None:
        raise MethodError.unknown("architecture", architecture, ARCHITECTURES, see="regard.gaze.architectures")
    loss = loss or (named[3] if named else "kl")
    if loss not in LOSSES:
        raise MethodError.unknown("loss", loss, LOSSES, see=f"one of {', '.join(LOSSES)}")
    size = size or (named[1] if named else None)
    if size is None:
        raise LayoutError("at which size your module takes photos is not known", hint="size=(height, width)")
    names = [name for name in photos if name in set(fixations.inside().image.tolist())]
    if not names:
        raise DegenerateError("no photo has fixations", hint=f"people looked at {fixations.images[:3]}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = named[0]() if named else architecture
        assert isinstance(model, nn.Module)
        x = _prepared(photos, names, size)
        with torch.no_grad():
            truth, counts = _people(fixations, names, model.eval()(x[:1]).shape[-2:])
        step = torch.optim.Adam(model.parameters(), rate or (named[2] if named else 1e-3))
        losses = []
        for _ in track(range(epochs), "epochs"):
            model.train()
            total = 0.0
            for at in torch.randperm(len(names)).split(batch):
                found = LOSSES[loss](model(x[at]), truth[at], counts[at])
                step.zero_grad(set_to_none=True)
                found.backward()
                step.step()
                total += float(found.detach()) * len(at)
            losses.append(total / len(names))
    step.zero_grad(set_to_none=True)
    return Trained(model.eval(), size, tuple(losses))


def _prepared(photos: Mapping[str, Tensor], names: list[str], size: tuple[int, int]) -> Tensor:
    made = []
    for name in names:
        photo = photos[name].float()
        photo = photo[None] if photo.ndim == 3 else photo
        if photo.ndim != 4 or photo.shape[:2] != (1, 3):
            raise LayoutError(f"'{name}' is {list(photos[name].shape)}", hint="one photo, [3, H, W] in 0..1")
        made.append(F.interpolate(photo, size, mode="bilinear", antialias=True, align_corners=False))
    return 2 * torch.cat(made) - 1


def _people(fixations: Fixations, names: list[str], cells: torch.Size) -> tuple[Tensor, Tensor]:
    """Blurred maps and counts of each picture, in the logits' cells."""
    seen = [fixations.on(name) for name in names]
    return tuple(torch.stack([_cells(made(one), cells) for one in seen]) for made in (blurred, fixation_map))  # type: ignore[return-value]


def _cells(values: object, cells: torch.Size) -> Tensor:
    """A map at the pictures' size in the logits' cells; sums are kept."""
    given = torch.as_tensor(values, dtype=torch.float32)
    area = F.interpolate(given[None, None], size=tuple(cells), mode="area")[0, 0]
    return area * (given.sum() / area.sum().clamp_min(1e-12))
