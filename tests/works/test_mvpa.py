"""mvpa works: three logits for each pair, equivariant over channels, for any number of them."""

from __future__ import annotations

import torch
from torch import Tensor

import regard as rg
from regard.testing.marks import works

from .arithmetic import drawn, gap, with_gradients

multivariate = rg.operators.multivariate
HEADS, WIDTH = 2, 4


def recording(channels: int, times: int, seed: int = 0) -> list[Tensor]:
    """q, k, v, keys of offsets and keys of channels."""
    n = channels * times
    return [
        *(drawn(2, HEADS, n, WIDTH, seed=seed + i) for i in range(3)),
        drawn(HEADS, 2 * times - 1, WIDTH, seed=seed + 3),
        drawn(2, HEADS, channels, WIDTH, seed=seed + 4),
    ]


def by_force(q: Tensor, k: Tensor, v: Tensor, offsets: Tensor, channels: Tensor) -> Tensor:
    count = channels.shape[2]
    times = q.shape[2] // count
    logits = q.new_zeros(*q.shape[:3], q.shape[2])
    for i in range(q.shape[2]):
        for j in range(q.shape[2]):
            content = (q[:, :, i] * k[:, :, j]).sum(-1)
            temporal = (q[:, :, i] * offsets[:, (times - 1) - (i % times - j % times)]).sum(-1)
            relation = (q[:, :, i] * channels[:, :, j // times]).sum(-1)
            logits[:, :, i, j] = (content + temporal + relation) / WIDTH**0.5
    return torch.softmax(logits, -1) @ v


@works("mvpa")
def test_equals_three_terms_by_force() -> None:
    """Outputs and gradients, three sizes, to 1e-12; the same weights serve one, three and five channels."""
    for channels, times in ((1, 6), (3, 4), (5, 2)):
        inputs = recording(channels, times)
        assert gap(with_gradients(multivariate, *inputs), with_gradients(by_force, *inputs)) < 1e-12


@works("mvpa")
def test_permuting_channels_with_their_keys_permutes_outputs() -> None:
    """To 1e-12 for each of five orders; with keys left in place, the planted fault, outputs differ by over .01."""
    q, k, v, offsets, channels = recording(5, 3)
    move = lambda x, order: x.unflatten(2, (5, 3))[:, :, order].flatten(2, 3)  # noqa: E731
    out = multivariate(q, k, v, offsets, channels)
    for seed in range(1, 6):
        order = torch.randperm(5, generator=torch.Generator().manual_seed(seed))
        moved = [move(x, order) for x in (q, k, v)]
        assert gap(multivariate(*moved, offsets, channels[:, :, order]), move(out, order)) < 1e-12
        assert gap(multivariate(*moved, offsets, channels), move(out, order)) > 0.01


@works("mvpa")
def test_runs_unchanged_on_other_channel_counts() -> None:
    """The same keys of offsets for 1 to 64 channels; a channel that nobody looks at changes nothing for the others."""
    offsets = drawn(HEADS, 5, WIDTH)
    for count in (1, 2, 7, 64):
        q, k, v, _, channels = recording(count, 3, seed=5)
        out = multivariate(q, k, v, offsets, channels)
        assert out.shape == (2, HEADS, 3 * count, WIDTH)
        assert out.isfinite().all()
    q, k, v, _, channels = recording(4, 3, seed=5)
    q = torch.cat([q.abs(), torch.zeros_like(q[:, :, :3])], 2)
    more = [torch.cat([x, drawn(2, HEADS, 3, WIDTH, seed=8)], 2) for x in (k, v)]
    unseen = torch.cat([channels, torch.full((2, HEADS, 1, WIDTH), -1e3).double()], 2)
    alone = multivariate(q[:, :, :12], k, v, offsets, channels)
    assert gap(multivariate(q, *more, offsets, unseen)[:, :, :12], alone) < 1e-9
