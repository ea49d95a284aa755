"""search-asymmetry works: six tasks in both directions, searched by a real network that pools more farther away."""

from __future__ import annotations

import numpy as np
import pytest
from torch import Tensor, nn

from regard.gaze.scanpaths import Eccentricity, search
from regard.gaze.search import asymmetries
from regard.gaze.stimuli import asymmetry
from regard.testing.marks import works

TASKS = ("curve", "shading", "cross", "letters", "tilt", "tilt among mixed")
CELLS, SIDE, SEEDS = 5, 44, range(100, 106)
PEOPLE = {"slope": (0.07, 0.16, 0.32), "fovea": 40.0}  # the published growth of the last three pools


def layers(net: nn.Module, x: Tensor) -> list[Tensor]:
    """Features of EfficientNet-lite0 at 1/4, 1/8 and 1/16."""
    x, kept = net.bn1(net.conv_stem(x)), []
    for number, block in enumerate(net.blocks[:5]):
        x = block(x)
        if number in (1, 2, 4):
            kept.append(x)
    return kept


def fixations(net: nn.Module, task: str, *, swap: bool, wrong: bool = False, seeds: range = SEEDS) -> list[int]:
    """Fixations after the first until the target is hit; wrong: one of the distractors is searched for instead."""
    found = []
    for seed in seeds:
        made = asymmetry(task, swap=swap, size=CELLS**2, cells=CELLS, side=SIDE, seed=seed)
        alone = asymmetry(task, swap=swap != wrong, size=1, cells=1, side=SIDE, jitter=0.0, seed=seed)
        scene, target = (4 * (one.picture - 0.5)[None] for one in (made, alone))
        assert made.box is not None
        path = search(
            scene, target, lambda x: layers(net, x), found=tuple(float(v) for v in made.box), fixations=26,
            radius=0.45 * SIDE, eccentricity=Eccentricity(**PEOPLE), centred=True,
        )  # fmt: skip
        found.append(len(path) - 1)
    return found


@works("search-asymmetry")
@pytest.mark.weights
def test_six_tasks_in_both_directions(efficientnet: nn.Module) -> None:
    """25 items, 6 arrays a direction. Each task is done in fewer than the 13 fixations of a random order: under 7, and
    under 4 over all (a random order of the nine places where targets may be takes 5). Told a distractor in the
    place of the target the same model does worse than chance.

    The direction is told for each task with its interval; the claim asks for no sign, and this model has hardly any.
    Over three sets of seeds (24 arrays a direction) letters, shading and tilt are found at the first fixation either
    way; curve among lines leans as people do (by 2.0 fixations, sure in one set), the cross (-2.0) and the tilted line
    among mixed ones (-1.0) against them, sure in none. The published network got five of six signs right.
    """
    found = {task: tuple(fixations(efficientnet, task, swap=swap) for swap in (False, True)) for task in TASKS}
    table = asymmetries(found)
    both = [float(np.mean(easy + hard)) for easy, hard in found.values()]
    assert max(both) < 7, table
    assert np.mean(both) < 4, table
    assert np.mean(fixations(efficientnet, "cross", swap=False, wrong=True, seeds=SEEDS[:3])) > 13
    assert table.column("pair") == list(TASKS)
    for low, value, high in zip(*(table.column(c) for c in ("low", "difference", "high")), strict=True):
        assert low <= value <= high
    sure = dict(zip(TASKS, table.column("as people"), strict=True))
    assert sure["letters"] == sure["shading"] == sure["tilt"] == "open"
