"""aim2024-video-saliency works: the challenge's ranking on clips whose gaze is known by construction."""

from __future__ import annotations

import numpy as np
import pytest

from regard.gaze.data import Fixations
from regard.gaze.video import mean_ranks, video_ranking
from regard.testing.marks import works

SIZE, FRAMES = (36, 64), 10


def clip(seed: int) -> tuple[list[Fixations], dict[str, np.ndarray]]:
    """People follow a moving target whose density is known; a target elsewhere every frame, so that frames differ."""
    rng = np.random.default_rng(seed)
    start, end = rng.uniform([8, 6], [56, 30], (2, 2))
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    truth, seen = [], []
    for t in range(FRAMES):
        cx, cy = start + (end - start) * t / (FRAMES - 1)
        p = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * 3.0**2)) + 1e-4
        p /= p.sum()
        at = rng.choice(p.size, 50, p=p.ravel())
        truth.append(p)
        seen.append(Fixations(np.stack([at % SIZE[1], at // SIZE[1]], 1) + 0.5, size=SIZE))
    centre = np.exp(-((x - 32) ** 2 + (y - 18) ** 2) / (2 * 10.0**2))
    maps = {
        "truth": np.stack(truth),
        "shuffled frames": np.stack(truth)[rng.permutation(FRAMES)],
        "centre prior": np.repeat(centre[None], FRAMES, 0),
        "noise": rng.random((FRAMES, *SIZE)),
    }
    return seen, maps


@works("aim2024-video-saliency")
@pytest.mark.parametrize("seed", range(3))
def test_the_known_density_ranks_first_and_shuffled_frames_below(seed: int) -> None:
    """On every metric, not only on average; the centre prior is listed; ties share the mean of their places."""
    made = {f"clip {i}": clip(10 * seed + i) for i in range(4)}
    models = {name: {c: maps[name] for c, (_, maps) in made.items()} for name in next(iter(made.values()))[1]}
    models["truth again"] = models["truth"]
    table = video_ranking(models, {c: seen for c, (seen, _) in made.items()})
    rows = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert set(table.column("model")[:2]) == {"truth", "truth again"}
    assert rows["truth"]["mean rank"] == rows["truth again"]["mean rank"] == 1.5
    for metric in ("CC", "SIM", "NSS", "AUC-Judd"):
        for other in ("shuffled frames", "centre prior", "noise"):
            assert rows["truth"][metric] > rows[other][metric], (metric, other)
    assert rows["noise"]["mean rank"] == 5
    assert mean_ranks({"a": {"m": 1.0}, "b": {"m": 1.0}}, {"m": True}) == {"a": 1.5, "b": 1.5}
