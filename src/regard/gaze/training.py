"""`fit`: a readout trained on people's fixations, from features that are computed once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import DataError, DegenerateError
from regard.gaze.data import Fixations
from regard.gaze.maps import centre_prior
from regard.gaze.readout import Readout, laid_out
from regard.progress import track

CELLS = (72, 96)  # in which the likelihood of fixations is computed while training
SLICES = ("all", "early", "middle", "late")  # of a viewing: all fixations, and its thirds


@dataclass(frozen=True)
class Schedule:
    """epochs, batch, AdamW's highest rate in one cycle, its decay; dropout: share of channels; seed: of all draws."""

    epochs: int = 18
    batch: int = 14
    rate: float = 3e-3
    decay: float = 0.01
    dropout: float = 0.1
    seed: int = 0


USUAL = Schedule()


@dataclass(frozen=True)
class Fitted:
    """A trained readout; bits: after each epoch, of the slice `all` on pictures kept apart, over the centre prior."""

    readout: Readout
    bits: tuple[float, ...] = field(default=())


def onsets(fixations: Fixations) -> np.ndarray:
    """When each fixation began, as a share of its observer's looking time on the picture: 0 the first, all below 1.

    Time between fixations is not recorded and counts as none. Raises DataError where a duration is unknown.
    """
    if np.isnan(fixations.duration).any():
        raise DataError("fixations without durations have no slices of time", hint="read them with a duration column")
    begun = np.zeros(len(fixations))
    keys = list(zip(fixations.image, fixations.observer, strict=True))
    clocks: dict[tuple[str, str], float] = {}
    for at, key in enumerate(keys):
        begun[at] = clocks.get(key, 0.0)
        clocks[key] = begun[at] + float(fixations.duration[at])
    return begun / np.maximum([clocks[key] for key in keys], 1e-9)


def slices(fixations: Fixations) -> list[Fixations]:
    """All fixations, and those that began in each third of their viewing (SLICES)."""
    begun = onsets(fixations)
    return [fixations, *(fixations.where((3 * begun >= low) & (3 * begun < low + 1)) for low in range(3))]


def counts(parts: Sequence[Fixations], names: Sequence[str]) -> Float[Tensor, "n s y x"]:
    """How many fixations of each slice lie in each of CELLS, for each picture."""
    made = torch.zeros(len(names), len(parts), *CELLS)
    number = {name: at for at, name in enumerate(names)}
    for place, part in enumerate(parts):
        there = part.inside()
        assert there.size is not None
        x, y = (np.floor(there.xy[:, i] / there.size[1 - i] * CELLS[1 - i]).astype(int) for i in (0, 1))
        for name, row, column in zip(there.image, y, x, strict=True):
            if name in number:
                made[number[name], place, min(row, CELLS[0] - 1), min(column, CELLS[1] - 1)] += 1
    return made


def centres(parts: Sequence[Fixations], names: Sequence[str], size: tuple[int, int] = (36, 48)) -> Tensor:
    """The log of each slice's centre prior over the named pictures, in nats of a density over the cells `size`."""
    made = [centre_prior(part.where(np.isin(part.image, names)), size=size).density for part in parts]
    return torch.from_numpy(np.log(np.stack(made))).float()


def fit(
    features: Float[Tensor, "n h w c"], seen: Float[Tensor, "n s y x"], centre: Float[Tensor, "s u v"],
    *, schedule: Schedule = USUAL, held: tuple[Tensor, Tensor] | None = None,
) -> Fitted:  # fmt: skip
    """Maximise the likelihood of fixations, each slice of each picture counting alike.

    features: of the pictures (and of their mirror images, whose `seen` is mirrored); seen: fixations in cells; centre:
    log priors; held: features and fixations of other pictures, on which `bits` are told after each epoch. Raises
    DegenerateError for a picture on which nobody looked.
    """
    if bool((seen[:, 0].flatten(1).sum(1) == 0).any()):
        raise DegenerateError("a picture without any fixation inside", hint="leave it out, or check size and units")
    generator = torch.Generator().manual_seed(schedule.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(schedule.seed)
        readout = Readout(features.shape[-1], seen.shape[1], centre)
    optimiser = torch.optim.AdamW(readout.parameters(), lr=schedule.rate, weight_decay=schedule.decay)
    steps = schedule.epochs * math.ceil(len(features) / schedule.batch)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, schedule.rate, total_steps=steps)
    told: list[float] = []
    for _ in track(range(schedule.epochs), "epochs"):
        readout.train()
        for batch in torch.randperm(len(features), generator=generator).split(schedule.batch):
            kept = torch.rand(len(batch), 1, 1, features.shape[-1], generator=generator) >= schedule.dropout
            given = features[batch].float() * kept / (1 - schedule.dropout)
            loss = -likelihood(readout(given, CELLS), seen[batch]).mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            cycle.step()
        readout.eval()
        if held is not None:
            told.append(gain(readout, *held))
    return Fitted(readout.eval(), tuple(told))


def likelihood(log_density: Float[Tensor, "b s y x"], seen: Float[Tensor, "b s y x"]) -> Float[Tensor, "b s"]:
    """Mean log density at the fixations of each slice, in nats; 0 for a slice without any."""
    return (log_density * seen).flatten(2).sum(-1) / seen.flatten(2).sum(-1).clamp_min(1)


def gain(readout: Readout, features: Tensor, seen: Tensor) -> float:
    """Bits a fixation of the slice `all` over its centre prior, mean over pictures."""
    with torch.no_grad():
        found = torch.cat([readout(part.float(), CELLS) for part in features.split(32)])
        flat = torch.zeros(1, readout.log_centre.shape[0], 1, 1)
        prior = laid_out(flat, torch.ones(len(readout.log_centre)), readout.log_centre, CELLS)
        ours, theirs = (likelihood(log[:, :1].expand_as(seen[:, :1]), seen[:, :1]) for log in (found, prior))
    return float((ours - theirs).mean() / math.log(2))


def save(readout: Readout, path: Path, facts: dict[str, str]) -> None:
    """Weights and facts about their training as one safetensors file, whole or absent."""
    from safetensors.torch import save as encoded

    from regard import files

    with files.whole(path) as draft:
        draft.write_bytes(encoded({name: t.contiguous() for name, t in readout.state_dict().items()}, metadata=facts))


def load(path: Path) -> Readout:
    """A readout that `save` wrote, ready to use. Raises DataError for other files."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
        with torch.device("meta"):  # weights are not drawn only to be replaced, and no random state is moved
            readout = Readout(len(tensors["norm.weight"]), len(tensors["weight"]), tensors["log_centre"])
        readout.load_state_dict(tensors, assign=True)
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise DataError(f"'{path}' holds no readout ({error})", hint="a file of regard.gaze.training.save") from error
    return readout.eval()
