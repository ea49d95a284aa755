from __future__ import annotations

import math

import pytest
import torch

from regard.errors import LayoutError
from regard.gaze.flicker import flicker
from regard.gaze.predictors._shared import grey
from regard.gaze.stimuli import moving


def clip(made) -> torch.Tensor:
    return torch.stack([one.picture for one in made])


@pytest.mark.parametrize("seed", range(3))
def test_what_moves_pops_out(seed: int) -> None:
    """The only disc that moves holds the peak of every frame but the first, which no still picture could tell."""
    made = moving(frames=5, speed=3.0, seed=seed)
    maps = flicker(clip(made))
    assert (maps[0] == 0).all()
    left, top, right, bottom = made[0].box
    for one in maps[1:]:
        row, column = divmod(int(one.argmax()), one.shape[1])
        assert top <= row < bottom
        assert left <= column < right


def test_a_change_everywhere_counts_less_than_one_somewhere() -> None:
    base = torch.full((2, 3, 64, 64), 0.4)
    everywhere, somewhere = base.clone(), base.clone()
    everywhere[1] += 0.3
    somewhere[1, :, 30:36, 30:36] += 0.3
    assert flicker(everywhere)[1].max() < 0.01 * flicker(somewhere)[1].max()


def test_memory_fades_by_its_law() -> None:
    frames = torch.full((5, 3, 32, 32), 0.4, dtype=torch.float64)
    frames[1:, :, 10:14, 10:14] += 0.3  # one change, then still
    maps = flicker(frames, memory=2.0)
    for t in range(1, 4):
        assert torch.allclose(maps[t + 1], maps[t] * math.exp(-0.5))
    sharp = flicker(frames, memory=0.0)
    assert (sharp[2] == 0).all()
    assert torch.allclose(maps[1], (1 - math.exp(-0.5)) * sharp[1])
    assert (grey(frames)[1] - grey(frames)[0]).abs().max() > 0.2
    with pytest.raises(LayoutError, match="1 frames"):
        flicker(frames[:1])
