"""Frames, clips and ranks, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from regard.errors import LayoutError
from regard.gaze.card import Judge
from regard.gaze.conventions import convention
from regard.gaze.data import Fixations
from regard.gaze.video import mean_ranks, video_ranking, video_scores

SIZE = (18, 24)


def clip(seed: int, frames: int = 4) -> tuple[list[Fixations], np.ndarray]:
    rng = np.random.default_rng(seed)
    seen = [Fixations(rng.normal([6 + 3 * t, 9], 1.0, (20, 2)), size=SIZE) for t in range(frames)]
    return seen, rng.random((frames, *SIZE))


def test_a_clip_is_the_mean_of_its_frames() -> None:
    seen, maps = clip(0)
    judge = Judge(convention("aim2024"), 2.0)
    want = [judge.scores(m, s.inside()) for m, s in zip(maps, seen, strict=True)]
    got = video_scores(maps, seen)
    assert got == pytest.approx({name: np.mean([w[name] for w in want]) for name in want[0]})
    seen[2] = Fixations([], size=SIZE)  # nobody looked
    del want[2]
    assert video_scores(maps, seen) == pytest.approx({name: np.mean([w[name] for w in want]) for name in want[0]})


def test_ties_share_their_places_and_lower_can_be_better() -> None:
    scores = {"a": {"CC": 0.9, "KL": 1.0}, "b": {"CC": 0.9, "KL": 3.0}, "c": {"CC": 0.5, "KL": 2.0}}
    assert mean_ranks(scores, {"CC": True, "KL": False}) == {"a": 1.25, "b": 2.25, "c": 2.5}


def test_clips_count_alike_whatever_their_length() -> None:
    (short, a), (long, b) = clip(1, 2), clip(2, 6)
    table = video_ranking({"m": {"s": a, "l": b}}, {"s": short, "l": long})
    want = (video_scores(a, short)["CC"] + video_scores(b, long)["CC"]) / 2
    assert table.column("CC") == [pytest.approx(want)]
    assert (table.column("mean rank"), table.title) == ([1.0], "aim2024, 2 clips")


def test_refusals() -> None:
    seen, maps = clip(0)
    with pytest.raises(LayoutError, match="3 maps for 4 frames"):
        video_scores(maps[:3], seen)
    with pytest.raises(LayoutError, match="nobody looked"):
        video_scores(maps[:1], [Fixations([], size=SIZE)])
    with pytest.raises(LayoutError, match="model 'm' has no maps for clip 'b'"):
        video_ranking({"m": {"a": maps}}, {"a": seen, "b": seen})
    with pytest.raises(LayoutError, match="no model to rank"):
        video_ranking({}, {"a": seen})
