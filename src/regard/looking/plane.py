"""`plane`: queries and keys of one head, over several pictures, as points of one plane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from regard.atlas import Joint
from regard.errors import CallError
from regard.layout import Grid
from regard.looking.album import Pictures, listed, sample
from regard.looking.gather import Frame, Head, gather
from regard.looking.joint import Pairs, balanced_scale, centre_keys, choose_scale, correlate, project, rescale

STAGES = ("as they are", "keys centred", "scaled too", "in the plane")


def query_key(
    model: nn.Module, pictures: Pictures, *, layer: int, head: int, patches: int, tokens: int, most: int, seed: int
) -> Joint:
    """One head over at most `most` pictures, evenly drawn."""
    chosen = sample(listed(pictures), most)
    frames = list(gather(model, chosen, patches=patches, wanted=[(layer, head)]))
    return plane(frames, next(iter(frames[0].operands)), tokens=tokens, seed=seed)


def draw(grids: Sequence[Grid], tokens: int, seed: int) -> list[Tensor]:
    """Which tokens of each picture are shown, in order: all prefix tokens, and patches up to `tokens` in all."""
    if tokens < len(grids):
        raise CallError(f"{tokens} tokens of {len(grids)} pictures", hint=f"tokens={3 * len(grids)} or more")
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for grid in grids:
        room = max(1, tokens // len(grids) - grid.prefix)
        order = torch.randperm(grid.patches, generator=generator)[:room].sort().values
        drawn.append(torch.cat([torch.arange(grid.prefix), order + grid.prefix]))
    return drawn


def plane(frames: Sequence[Frame], at: Head, *, tokens: int, seed: int) -> Joint:
    """Centre, scale, project; with how well distance mirrors the logit after each step."""
    drawn = draw([f.grid for f in frames], tokens, seed)
    queries, keys = ([f.operands[at][i][t] for f, t in zip(frames, drawn, strict=True)] for i in (0, 1))
    centred = centre_keys(keys)
    raw, pairs = Pairs.of(queries, keys), Pairs.of(queries, centred)
    c = choose_scale(pairs, balanced_scale(queries, centred))
    scaled = [rescale(q, k, c) for q, k in zip(queries, centred, strict=True)]
    counts = [len(t) for t in drawn]
    flat, explained = project(torch.cat([q for q, _ in scaled] + [k for _, k in scaled]))
    on_plane = [part.split(counts) for part in flat.chunk(2)]
    far = torch.cat([torch.cdist(q, k).flatten() for q, k in zip(*on_plane, strict=True)])
    steps = (raw.correlation(), pairs.correlation(), pairs.correlation(c), correlate(far, pairs.dots))
    of = np.repeat(np.arange(len(frames)), counts)
    return Joint(
        points=flat.float().numpy(),
        key=np.repeat([False, True], len(of)),
        picture=np.tile(of, 2),
        token=np.tile(torch.cat(drawn).numpy(), 2),
        address=frames[0].addresses[at[0]],
        head=at[1],
        grids=tuple(f.grid for f in frames),
        pictures=tuple(f.name for f in frames),
        scale=c,
        correlation=dict(zip(STAGES, steps, strict=True)),
        explained=explained,
        settings={"tokens": tokens, "seed": seed},
    )
